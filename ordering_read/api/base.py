"""The base of the views of the read API: asks the query bus, and says how fresh the answer is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from config.http.input.query import parse_query
from config.http.openapi import idempotency
from config.http.views import ApiViewSet
from ordering_read import permissions
from ordering_read.api import headers
from ordering_read.engine import waiting
from ordering_read.engine.freshness import (
    Freshness,
    ProjectionBehindError,
    freshness,
    log_freshness,
)
from ordering_read.queries import Page, Query, View, get_query_bus
from ordering_read.queries.lists import ListQuery
from ordering_write import published

Answer = TypeVar("Answer")
Item = TypeVar("Item")
AnyQuery = TypeVar("AnyQuery", bound=Query[Any])


class Versioned(Protocol):
    """The result of a query for one resource."""

    @property
    def version(self) -> int: ...
    @property
    def updated_at(self) -> datetime: ...


class QueryViewSet(ApiViewSet):
    """The base of the viewsets of the read API.

    ``reads`` names the projections that each action reads. An action without an entry shows the
    projections themselves; it has no ETag. ``single_actions`` show one resource, whose version is
    in its ETag. ``log_actions`` read the log itself, which is always current.
    """

    # The titles that browsable pages show for the list, and for an item of it.
    titles: ClassVar[tuple[str, str]]
    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    single_actions: ClassVar[frozenset[str]] = frozenset({"retrieve"})
    log_actions: ClassVar[frozenset[str]] = frozenset()

    # The freshness of what a GET reads; set before the query.
    freshness: Freshness

    # The route accepts any text as an id: for text that is no id, the query answers "not found".
    lookup_value_regex = "[^/]+"

    def get_view_name(self) -> str:
        return self.name or self.titles[self.detail]

    # --- Before the query ----------------------------------------------------------------------
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in ("GET", "HEAD") and self.action:
            self._begin_to_read(request)

    def _begin_to_read(self, request: Request) -> None:
        awaited, seconds = consistency.awaited_event(request), preferences.wait_seconds(request)
        is_behind = awaited is not None and not self.shows(awaited, timeout=seconds or 0)
        self.freshness = log_freshness() if self.reads_log() else freshness(self._projections())
        self.headers |= headers.freshness_headers(self.freshness)
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
        if self.action not in self.single_actions:
            # A 304 saves the query, the expensive part of a list.
            self._tag(self._list_tag(request))

    def shows(self, event_id: UUID, *, timeout: float) -> bool:
        """Return True if the answer will show an event; waits up to ``timeout`` seconds for it."""
        if self.reads_log():
            # A client gets a token after the commit of its event.
            return True
        return waiting.wait(event_id=event_id, projections=self._projections(), timeout=timeout)

    def reads_log(self) -> bool:
        """Return True if the answer is made from the log itself."""
        return self.action in self.log_actions

    def _projections(self) -> tuple[str, ...]:
        names = self.reads.get(self.action, ())
        # The parameter q always searches.
        return (*names, "search") if names and "q" in self.request.query_params else names

    def _list_tag(self, request: Request) -> str:
        """Return the tag of this list or report for this user; empty if its state is unknown."""
        state = self.freshness.state
        if state is None or self.action not in self.reads:
            return ""
        shape = request.accepted_renderer.format
        query = etags.digest(state, request.build_absolute_uri(), shape, self._visibility())
        return etags.weak(self.freshness.position, query)

    def _visibility(self) -> tuple[Any, ...]:
        """Return everything by which the answers to two users can differ."""
        user = self.request.user
        return (customer_scope(user), *(user.has_perm(name) for name in permissions.LABELS))

    def _tag(self, tag: str) -> None:
        """Set the header ETag. Raises NotModifiedError when the client's copy has this tag."""
        if not tag or self.request.accepted_renderer.format == "api":
            # The forms of a browsable page hold tokens that are valid once.
            return
        self.headers["ETag"] = tag
        if etags.client_has(self.request, tag):
            raise etags.NotModifiedError(tag)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, etags.NotModifiedError):
            return Response(status=304)
        self.headers.pop("ETag", None)
        return super().handle_exception(exc)

    # --- Query and answer ----------------------------------------------------------------------
    def query(self, query_type: type[AnyQuery], **fields: Any) -> AnyQuery:
        """Return the query that the parameters of the request and these ``fields`` make.

        Raises UnknownParameterError and ParameterError.
        """
        return parse_query(self.request, query_type, **fields)

    def ask(self, query: Query[Answer]) -> Answer:
        """Return the answer to ``query``, as far as the user of the request may see it."""
        user = self.request.user
        limits = {
            "customer_scope": customer_scope(user),
            "with_personal": user.has_perm(permissions.VIEW_PII),
        }
        return get_query_bus().dispatch(query.model_copy(update=limits))

    def answer(self, body: BaseModel | dict[str, object]) -> Response:
        """Answer with ``body``."""
        return Response(body)

    def answer_list(
        self, query: ListQuery[Item], body: Callable[[Item, Request], View] | None = None
    ) -> Response:
        """Answer with the page of ``query``, each item made by ``body``, or as the query has it."""
        page = self.ask(query)
        return self.answer_page(page, body and [body(item, self.request) for item in page.items])

    def answer_page(self, page: Page[Any], results: Iterable[Any] | None = None) -> Response:
        """Answer with ``page``, and with ``results`` in place of its items."""
        self.headers["Link"] = link_header(page_links(self.request, page))
        return Response(page_body(self.request, page, results=results))

    def answer_one(self, body: BaseModel, resource: Versioned) -> Response:
        """Answer with ``body``, which shows ``resource``."""
        self.headers["Last-Modified"] = http_date(resource.updated_at.timestamp())
        content = etags.digest(self._visibility(), body.model_dump_json())
        self._tag(etags.strong(resource.version, content))
        return Response(body)

    def documented_headers(self, method: str) -> Sequence[OpenApiParameter]:
        """Return the headers of this action, for the OpenAPI document."""
        if method not in SAFE_METHODS:
            return idempotency.DOCUMENTED
        return headers.documented(
            is_tagged=self.action in self.reads, is_single=self.action in self.single_actions
        )
