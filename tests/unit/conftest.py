"""Unit tests have no database, in which requests would be counted."""

import pytest

from config.http.limits import throttling


@pytest.fixture(autouse=True)
def _no_rate_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "is_limited", lambda request: False)
