"""The base class of our own pages on the admin site."""

from typing import Any, ClassVar, TypeVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.generic import TemplateView

from ordering_read import permissions
from ordering_read.queries.base import Query, get_query_bus

Answer = TypeVar("Answer")


class Screen(TemplateView):
    """A page of the admin site that shows ``template_name``, for users with ``needed_permission``.

    Without ``needed_permission``, everybody who may log in to the admin site sees the page.
    """

    title: ClassVar[str]
    needed_permission: ClassVar[str] = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if self.needed_permission and not request.user.has_perm(self.needed_permission):
            raise PermissionDenied("You don't have the permission that this page needs.")
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        site = admin.site.each_context(self.request)
        return super().get_context_data(**site, **{"title": self.title, **kwargs})

    def may(self, permission: str) -> bool:
        """Return True if the user of the request has ``permission``."""
        return self.request.user.has_perm(permission)

    def ask(self, query: Query[Answer]) -> Answer:
        """Return the answer to ``query``, without personal data for users who may not see them."""
        with_personal = self.may(permissions.VIEW_PII)
        return get_query_bus().dispatch(query.model_copy(update={"with_personal": with_personal}))
