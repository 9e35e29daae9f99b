"""How the adapter of a port is found: by the dotted path that settings.PORTS has for it."""

from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string


@cache
def adapter(port: str) -> Any:
    """The adapter of a port: one in each process, made without arguments.

    Raises KeyError when settings.PORTS doesn't name the port, and ImportError when its path leads
    nowhere.
    """
    return import_string(settings.PORTS[port])()


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting == "PORTS":
        adapter.cache_clear()


setting_changed.connect(_forget, dispatch_uid="ports.forget")
