"""Which errors of a database are transient."""

import psycopg
import pytest
from django.db import InternalError

from config.databases.retry import is_transient


def internal_error(cause: Exception | None) -> InternalError:
    error = InternalError("internal")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.errors.ReadOnlySqlTransaction(),
        psycopg.errors.IdleInTransactionSessionTimeout(),
        # A pooler that loses its server answers a statement twice.
        psycopg.InternalError("received 2 results from command 'BEGIN'"),
    ],
    ids=["standby", "timeout", "lost session"],
)
def test_an_internal_error_that_passes_is_transient(cause: Exception) -> None:
    assert is_transient(internal_error(cause))


@pytest.mark.parametrize("cause", [psycopg.errors.InternalError_(), None], ids=["fault", "unknown"])
def test_other_internal_errors_stay(cause: Exception | None) -> None:
    assert not is_transient(internal_error(cause))
