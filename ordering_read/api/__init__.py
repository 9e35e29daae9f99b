"""The read API: views that answer the safe methods of every resource by queries."""
