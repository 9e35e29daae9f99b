"""Runs the projections on the log: live, in rebuilds and in verifications."""
