"""Races against what a shop would use instead: ``make bench``, docs/performance.md."""
