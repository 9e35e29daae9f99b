"""A system check: every API view says which permission it needs."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from config.http.permissions import HasNeededPermission, needed_permission

_METHODS = ("get", "post", "put", "patch", "delete")


def connect() -> None:
    """Register the check."""
    register(views_declare_permissions)


def views_declare_permissions(
    app_configs: Sequence[AppConfig] | None = None, **_kwargs: Any
) -> list[CheckMessage]:
    """An Error for each action of a routed API view that names no permission."""
    found = {
        (view, action)
        for view, action in _routed_actions(get_resolver().url_patterns)
        if not getattr(view, "public", False) and HasNeededPermission in view.permission_classes
    }
    errors: list[CheckMessage] = []
    for view, action in sorted(found, key=lambda pair: (pair[0].__name__, pair[1])):
        try:
            needed = needed_permission(view, action=action)
        except ImproperlyConfigured as error:
            errors.append(Error(str(error), obj=view, id="http.E001"))
        else:
            if needed.count(".") != 1:
                hint = f"{needed!r} is not written as app_label.codename."
                errors.append(Error(hint, obj=view, id="http.E002"))
    return errors


def _routed_actions(
    patterns: Sequence[URLPattern | URLResolver],
) -> Iterator[tuple[type[APIView], str]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _routed_actions(pattern.url_patterns)
            continue
        view = getattr(pattern.callback, "cls", None)
        if isinstance(view, type) and issubclass(view, APIView):
            actions = getattr(pattern.callback, "actions", None)
            names = (
                actions.values() if actions else [m.upper() for m in _METHODS if hasattr(view, m)]
            )
            yield from ((view, name) for name in names)
