"""What every endpoint of the read API does: ask the query bus, say that answers grow old."""

from typing import ClassVar, TypeVar

from pydantic import BaseModel
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from config.accounts.roles import customer_scope
from ordering_read.queries import Query, get_query_bus

Answer = TypeVar("Answer")


class QueryViewSet(ViewSet):
    """The base of the viewsets. None writes a read model, so ``list`` and ``retrieve`` are most."""

    # What the browsable pages call the list, and one item of it.
    titles: ClassVar[tuple[str, str]]

    # Whatever stands in an id's place: what names nothing is told so by the view.
    lookup_value_regex = "[^/]+"

    def get_view_name(self) -> str:
        return self.name or self.titles[self.detail]

    def ask(self, query: Query[Answer]) -> Answer:
        """The answer to ``query``, as far as the user of the request may see."""
        scope = customer_scope(self.request.user)
        return get_query_bus().dispatch(query.model_copy(update={"customer_scope": scope}))

    def answer(self, body: BaseModel | dict[str, object]) -> Response:
        """``body`` as an answer that no cache gives to anybody without asking us again."""
        headers = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
        return Response(body, headers=headers)
