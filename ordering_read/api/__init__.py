"""The read API: the safe methods of every resource, answered by queries."""
