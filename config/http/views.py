"""Base classes of the API's views. They declare everything that config.http reads from a view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

# HEAD and OPTIONS count as the first of these methods that the view has.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, kw_only=True)
class ActionLink:
    """The address of an action, with the title that pages show for it."""

    action: str
    title: str
    address: str


class ApiView(APIView):
    """Base of every API view: declares its permissions and its part of the OpenAPI document.

    An action is the name of a viewset's method; on a view without actions it is the HTTP method
    in capitals.
    """

    # Opens the view to everybody, without login.
    public: ClassVar[bool] = False
    # The name of the id in the addresses of one resource, as the OpenAPI document shows them.
    id_name: ClassVar[str] = "id"
    # The description of the view's tag in the OpenAPI document; its docstring if this is empty.
    about: ClassVar[str] = ""
    # Permission of each action, as "app_label.codename".
    needed_permissions: ClassVar[Mapping[str, str]] = {}
    # Permission of all actions that ``needed_permissions`` doesn't name.
    needed_permission: ClassVar[str] = ""
    # The preview that unsafe methods have at /preview, and with ?dry_run=true; None on views that
    # can't try a command.
    dry_run_body: ClassVar[type[BaseModel] | None] = None
    # Statuses that unsafe methods answer with, beside those of every operation.
    command_statuses: ClassVar[frozenset[str]] = frozenset()

    def documented_headers(self, method: str) -> Sequence[OpenApiParameter]:
        """Return the headers of requests and answers by ``method``, for the OpenAPI document."""
        return ()

    def documented_examples(self, method: str) -> list[OpenApiExample]:
        """Return the example bodies of requests by ``method``, for the OpenAPI document."""
        return []

    def command_examples(self, request: Request) -> Mapping[str, Any]:
        """Return the JSON that a browsable page's forms start with, by action.

        "POST" stands for the command at the address of the page itself.
        """
        return {}

    def action_links(self, method: str) -> list[ActionLink]:
        """Return the actions below this resource that answer to ``method``."""
        return []

    def post_link(self) -> ActionLink:
        """Return the action that a POST to the address of the request calls."""
        action = self.action_of("POST")
        is_named = action != "POST"
        return ActionLink(
            action=action,
            title=action.replace("_", " ").capitalize() if is_named else self.get_view_name(),
            address=self.request.path,
        )

    def action_of(self, method: str) -> str:
        """Return the action that answers to ``method``."""
        if method in ("HEAD", "OPTIONS"):
            return next(first for first in _METHODS if first in self.allowed_methods)
        return method

    @classmethod
    def permission_of(cls, action: str) -> str:
        """Return the permission that ``action`` needs.

        Raises ImproperlyConfigured when the view declares none.
        """
        permission = cls.needed_permissions.get(action) or cls.needed_permission
        if not permission:
            raise ImproperlyConfigured(
                f"{cls.__name__} declares no permission for {action}: set needed_permission, "
                "needed_permissions, or public = True."
            )
        return permission

    @classmethod
    def allows(cls, user: AbstractUser | AnonymousUser, action: str) -> bool:
        """Return True if ``user`` may call ``action``."""
        if cls.public:
            return True
        permission = cls.permission_of(action)
        return user.is_authenticated and user.has_perm(permission)


class ApiViewSet(ViewSetMixin, ApiView):
    """Base of the views with actions, which the router gives their addresses."""

    def action_of(self, method: str) -> str:
        method = super().action_of(method)
        return self.action_map.get(method.lower(), method)

    def action_links(self, method: str) -> list[ActionLink]:
        extra_actions: list[Any] = self.get_extra_actions()
        # The page of an extra action has nothing below it.
        if {extra.__name__ for extra in extra_actions} & set(self.action_map.values()):
            return []
        links = []
        for extra in extra_actions:
            if extra.detail != self.detail or method.lower() not in extra.mapping:
                continue
            try:
                address = self.reverse_action(extra.url_name, args=self.args, kwargs=self.kwargs)
            except NoReverseMatch:
                continue
            action = extra.mapping[method.lower()]
            links.append(ActionLink(action=action, title=extra.kwargs["name"], address=address))
        return links
