"""What every endpoint of the read API does: ask the query bus, and say how old the answer is."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from django.utils.http import http_date
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.roles import customer_scope
from config.http.answers import etags
from config.http.answers.pagination import link_header, page_body, page_links
from config.http.input import consistency, preferences
from config.http.openapi import idempotency
from config.http.views import ApiViewSet
from ordering_read import permissions
from ordering_read.api import headers
from ordering_read.engine import waiting
from ordering_read.engine.freshness import (
    Freshness,
    ProjectionBehindError,
    freshness,
    of_the_log,
)
from ordering_read.queries import Page, Query, get_query_bus
from ordering_write import published

Answer = TypeVar("Answer")


class Versioned(Protocol):
    """One resource as a query answers it."""

    @property
    def version(self) -> int: ...
    @property
    def updated_at(self) -> datetime: ...


class QueryViewSet(ApiViewSet):
    """The base of the viewsets. None writes a read model, so ``list`` and ``retrieve`` are most.

    ``reads`` names the projections that each action reads. One that it doesn't name is about the
    projections themselves, all of them, and is never the same twice. ``of_one`` are the actions
    that show one resource, which is tagged by its version. ``of_log`` are those that read the log
    itself, which is always current.
    """

    # What the browsable pages call the list, and one item of it.
    titles: ClassVar[tuple[str, str]]
    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    of_one: ClassVar[frozenset[str]] = frozenset({"retrieve"})
    of_log: ClassVar[frozenset[str]] = frozenset()

    # How far the projections are that a GET reads; set before it is answered.
    freshness: Freshness

    # Whatever stands in an id's place: what names nothing is told so by the view.
    lookup_value_regex = "[^/]+"

    def get_view_name(self) -> str:
        return self.name or self.titles[self.detail]

    # --- Before an answer ----------------------------------------------------------------------
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in ("GET", "HEAD") and self.action:
            self._begin_to_read(request)

    def _begin_to_read(self, request: Request) -> None:
        awaited, seconds = consistency.awaited_event(request), preferences.wait_seconds(request)
        is_behind = awaited is not None and not self.shows(awaited, timeout=seconds or 0)
        self.freshness = of_the_log() if self.reads_log() else freshness(self._reads())
        self.headers |= headers.freshness(self.freshness)
        self.headers["Vary"] = "Accept, Authorization, Cookie"
        self.headers["Cache-Control"] = "private, no-cache"
        if awaited is not None and seconds is not None:
            if is_behind:
                raise ProjectionBehindError(
                    required=published.position_of(awaited) or published.head(),
                    position=self.freshness.position,
                )
            self.headers[preferences.APPLIED] = "wait"
        elif is_behind:
            self.headers[headers.BEHIND] = "true"
        if self.action not in self.of_one:
            # Before the query, which is what costs.
            self._tag(self._list_tag(request))

    def shows(self, event_id: UUID, *, timeout: float) -> bool:
        """Whether the answer will show an event, after waiting at most so many seconds for it."""
        if self.reads_log():
            # Whoever has its token was told after it had been committed.
            return True
        return waiting.wait(event_id=event_id, projections=self._reads(), timeout=timeout)

    def reads_log(self) -> bool:
        """Whether the answer is made from the log itself."""
        return self.action in self.of_log

    def _reads(self) -> tuple[str, ...]:
        names = self.reads.get(self.action, ())
        # Wherever there is a q, it searches.
        return (*names, "search") if names and "q" in self.request.query_params else names

    def _list_tag(self, request: Request) -> str:
        """The tag of this list or report for this user; empty when it can't be told apart."""
        state = self.freshness.state
        if state is None or self.action not in self.reads:
            return ""
        shape = request.accepted_renderer.format
        query = etags.digest(state, request.build_absolute_uri(), shape, self._view())
        return etags.weak(self.freshness.position, query)

    def _view(self) -> tuple[Any, ...]:
        """All by which what one user is shown can differ from what another one is."""
        user = self.request.user
        return (customer_scope(user), *(user.has_perm(name) for name in permissions.LABELS))

    def _tag(self, tag: str) -> None:
        """Answer with ``tag``. Raises NotModifiedError when the client has what it stands for."""
        if not tag or self.request.accepted_renderer.format == "api":
            # A page holds forms with tokens that are good for once.
            return
        self.headers["ETag"] = tag
        if etags.client_has(self.request, tag):
            raise etags.NotModifiedError(tag)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, etags.NotModifiedError):
            return Response(status=304)
        self.headers.pop("ETag", None)
        return super().handle_exception(exc)

    # --- The answer ----------------------------------------------------------------------------
    def ask(self, query: Query[Answer]) -> Answer:
        """The answer to ``query``, as far as the user of the request may see."""
        user = self.request.user
        limits = {
            "customer_scope": customer_scope(user),
            "with_personal": user.has_perm(permissions.VIEW_PII),
        }
        return get_query_bus().dispatch(query.model_copy(update=limits))

    def answer(self, body: BaseModel | dict[str, object]) -> Response:
        """``body`` as it is."""
        return Response(body)

    def answer_page(self, page: Page[Any], results: Iterable[Any] | None = None) -> Response:
        """A page of a list; ``results`` are its items unless given."""
        self.headers["Link"] = link_header(page_links(self.request, page))
        return Response(page_body(self.request, page, results=results))

    def answer_one(self, body: BaseModel, shown: Versioned) -> Response:
        """``body``, which shows one resource."""
        self.headers["Last-Modified"] = http_date(shown.updated_at.timestamp())
        view = etags.digest(self._view(), body.model_dump_json())
        self._tag(etags.strong(shown.version, view))
        return Response(body)

    def documented_headers(self, method: str) -> Sequence[OpenApiParameter]:
        """The headers of this action, for the OpenAPI document."""
        if method not in SAFE_METHODS:
            return idempotency.DOCUMENTED
        return headers.documented(
            is_tagged=self.action in self.reads, is_one=self.action in self.of_one
        )
