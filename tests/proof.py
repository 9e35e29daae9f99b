"""How much a proof proves: a little in every test run, all of it in `make proof`."""

import os

IS_PROOF = os.environ.get("PROOF") == "1"


def size(small: int, *, full: int) -> int:
    """``full`` in `make proof`, ``small`` in any other run."""
    return full if IS_PROOF else small
