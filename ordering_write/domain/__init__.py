"""The rules of ordering in plain Python and pydantic: no Django, no clock, no randomness, no I/O."""
