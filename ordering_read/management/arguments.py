"""Numbers that commands are given, and what is said of those that make no sense."""

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """A whole number, 1 or more. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text} isn't a whole number of 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds, 0 or more. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    # What isn't a number is neither more nor less than anything.
    if not number >= 0:
        raise ArgumentTypeError(f"{text} isn't a number of 0 or more")
    return number
