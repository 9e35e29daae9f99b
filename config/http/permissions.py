"""Who may do what: a view names the permission it needs, and one that names none is refused."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from config.http.errors import PermissionMissingError

if TYPE_CHECKING:
    # DRF imports this module while it makes the class.
    from rest_framework.views import APIView

# What HEAD and OPTIONS stand for, best first.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class HasNeededPermission(BasePermission):
    """Lets in the users that hold what the view declares; the others get 401 or 403.

    A view declares ``needed_permission``, or ``needed_permissions`` by action (by method on views
    without actions), each as ``"app_label.codename"``, or ``public = True`` for no login at all.

    Raises PermissionMissingError for a user without it, ImproperlyConfigured for a view that
    declares nothing.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.method not in view.allowed_methods:
            # Nothing runs but the answer that says which methods there are.
            return True
        action = asked_action(view, request.method)
        if may(request.user, view, action):
            return True
        if request.user.is_authenticated:
            raise PermissionMissingError(needed_permission(view, action=action))
        return False


def may(user: AbstractUser | AnonymousUser, view: Any, action: str) -> bool:
    """True when ``user`` may do ``action`` of ``view``."""
    if getattr(view, "public", False):
        return True
    needed = needed_permission(view, action=action)
    return user.is_authenticated and user.has_perm(needed)


def asked_action(view: Any, method: str) -> str:
    """The action that ``method`` is on this view: its name, or the method without actions.

    HEAD and OPTIONS are what the address is for: GET, or else its first unsafe method.
    """
    if method in ("HEAD", "OPTIONS"):
        method = next(other for other in _METHODS if other in view.allowed_methods)
    actions: dict[str, str] = getattr(view, "action_map", None) or {}
    return actions.get(method.lower(), method)


def needed_permission(view: Any, *, action: str) -> str:
    """The permission that ``action`` of ``view`` (an instance or its class) needs.

    Raises ImproperlyConfigured when the view declares none.
    """
    needed: str | None = getattr(view, "needed_permissions", {}).get(action)
    needed = needed or getattr(view, "needed_permission", None)
    if not needed:
        name = view.__name__ if isinstance(view, type) else type(view).__name__
        raise ImproperlyConfigured(
            f"{name} declares no permission for {action}: set needed_permission, "
            "needed_permissions, or public = True."
        )
    return needed
