"""Unit tests have no database, so that requests aren't counted in it."""

import pytest

from config.http.limits import throttling


@pytest.fixture(autouse=True)
def _nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_is_limited", lambda request: False)
