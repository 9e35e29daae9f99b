"""Handlers of the commands about orders, in the families of the Order's moves."""
