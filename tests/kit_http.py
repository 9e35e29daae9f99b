"""A helper for tests that request files."""

from typing import Any
from unittest import mock

from django.core.signals import request_finished


def close(answer: Any) -> None:
    """Close the file of ``answer``.

    The signal that goes with it would close the connection, and so end the transaction of the test.
    """
    with mock.patch.object(request_finished, "send"):
        answer.close()
