"""Limits on one client's use of the service: requests in a period, waiting slots."""
