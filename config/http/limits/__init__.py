"""Limits on what one client may use: requests per minute, waiting slots."""
