"""Finds the adapter of a port, by its dotted path in settings.PORTS."""

from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string


@cache
def adapter(port: str) -> Any:
    """Return the adapter of a port; each process makes one, without arguments.

    Raises KeyError if settings.PORTS doesn't name the port, and ImportError if its path is wrong.
    """
    return import_string(settings.PORTS[port])()


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting == "PORTS":
        adapter.cache_clear()


setting_changed.connect(_forget, dispatch_uid="ports.forget")
