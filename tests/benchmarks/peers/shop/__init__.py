"""The orders of the peer, as one would write them down in Django."""
