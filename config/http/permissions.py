"""DRF's permission check: lets in the users that hold the permission which a view names."""

from typing import TYPE_CHECKING, cast

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from config.http.errors import PermissionMissingError

if TYPE_CHECKING:
    # DRF imports this module while it makes the class APIView.
    from rest_framework.views import APIView

    from config.http.views import ApiView


class HasNeededPermission(BasePermission):
    """Lets in the users that hold the permission of the view's action; see ``ApiView``.

    Raises PermissionMissingError (403) for a user without the permission, and ImproperlyConfigured
    for a view that declares no permission. Returns False (401) for a request without a login.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.method not in view.allowed_methods:
            # No action runs: the answer is a 405 that lists the methods.
            return True
        api_view = cast("ApiView", view)
        action = api_view.action_of(request.method)
        if api_view.allows(request.user, action):
            return True
        if request.user.is_authenticated:
            raise PermissionMissingError(api_view.permission_of(action))
        return False
