"""A system check: every API view names the permission it needs."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from config.http.permissions import HasNeededPermission
from config.http.views import ApiView

_METHODS = ("get", "post", "put", "patch", "delete")


def views_declare_permissions(
    app_configs: Sequence[AppConfig] | None = None, **_kwargs: Any
) -> list[CheckMessage]:
    """Return an Error for each action of a routed API view that names no permission."""
    actions = {
        (view, action)
        for view, action in _routed_actions(get_resolver().url_patterns)
        if HasNeededPermission in view.permission_classes
    }
    errors: list[CheckMessage] = []
    for view, action in sorted(actions, key=lambda pair: (pair[0].__name__, pair[1])):
        if not issubclass(view, ApiView):
            errors.append(Error(f"{view.__name__} isn't an ApiView.", obj=view, id="http.E003"))
        elif not view.public:
            errors += _permission_errors(view, action)
    return errors


def _permission_errors(view: type[ApiView], action: str) -> list[CheckMessage]:
    try:
        permission = view.permission_of(action)
    except ImproperlyConfigured as error:
        return [Error(str(error), obj=view, id="http.E001")]
    if permission.count(".") != 1:
        text = f"{permission!r} is not written as app_label.codename."
        return [Error(text, obj=view, id="http.E002")]
    return []


def _routed_actions(
    patterns: Sequence[URLPattern | URLResolver],
) -> Iterator[tuple[type[APIView], str]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _routed_actions(pattern.url_patterns)
            continue
        # Django and DRF keep the class and the actions of a view on its function.
        view = getattr(pattern.callback, "cls", None)
        if isinstance(view, type) and issubclass(view, APIView):
            actions = getattr(pattern.callback, "actions", None)
            methods = [method.upper() for method in _METHODS if hasattr(view, method)]
            yield from ((view, name) for name in (actions.values() if actions else methods))
