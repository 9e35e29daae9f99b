"""The size of a proof: small in every test run, full in `make proof`."""

import os

IS_PROOF = os.environ.get("PROOF") == "1"


def size(small: int, *, full: int) -> int:
    """Return ``full`` in `make proof`, else ``small``."""
    return full if IS_PROOF else small
