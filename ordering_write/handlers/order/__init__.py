"""Handlers of the commands about an order that exists; a new one is placed in ``placing``."""
