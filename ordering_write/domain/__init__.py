"""The rules of ordering in plain Python and pydantic: no Django, clock, randomness or I/O."""
