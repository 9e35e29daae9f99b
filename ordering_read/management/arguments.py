"""Types of the numbers in command-line arguments, with their error messages."""

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """Return a whole number of 1 or more. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text} isn't a whole number of 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """Return a number of seconds, 0 or more. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    # ``not >=`` instead of ``<``, so that NaN is refused too.
    if not number >= 0:
        raise ArgumentTypeError(f"{text} isn't a number of 0 or more")
    return number
