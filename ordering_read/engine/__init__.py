"""Follows the log for the projections: live, in rebuilds, and tells how far each has come."""
