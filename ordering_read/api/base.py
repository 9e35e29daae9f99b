"""The base class of the viewsets of the read API: dispatches queries, and sets headers for caches
and for the freshness of the response."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from django.utils.http import http_date
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts import tokens
from config.accounts.roles import customer_scope
from config.http.answers import etags
from config.http.answers.encoding import Members
from config.http.answers.pagination import link_header, page_body, page_links
from config.http.input import consistency, preferences
from config.http.input.query import parse_query
from config.http.openapi import idempotency
from ordering_read import permissions
from ordering_read.api import headers
from ordering_read.api.bodies import Row
from ordering_read.api.gap_views import GapViewSet
from ordering_read.engine import waiting
from ordering_read.engine.freshness import (
    Freshness,
    ProjectionBehindError,
    freshness,
    log_freshness,
)
from ordering_read.engine.gaps import Streams
from ordering_read.queries import Page, Query, View, get_query_bus
from ordering_read.queries.lists import ListQuery
from ordering_write import published
from ordering_write.published import NotFoundError

# A read whose projections have reached the end of the log lacks no event.
tokens.read_with_login("log_end", published.LOG_END)

Answer = TypeVar("Answer")
Item = TypeVar("Item")
AnyQuery = TypeVar("AnyQuery", bound=Query[Any])


class Versioned(Protocol):
    """The result of a query for one resource."""

    @property
    def version(self) -> int: ...
    @property
    def updated_at(self) -> datetime: ...


class QueryViewSet(GapViewSet):
    """The base class of the viewsets of the read API.

    ``reads`` names the projections that each action reads. An action without an entry reads the log
    or the state of the projections, and its lists have no ETag. ``single_actions`` show one
    resource, whose version is in its ETag. ``log_actions`` read the log, which is always current.
    """

    # The titles of the browsable pages: of the list, and of one item.
    titles: ClassVar[tuple[str, str]]
    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    single_actions: ClassVar[frozenset[str]] = frozenset({"retrieve"})
    log_actions: ClassVar[frozenset[str]] = frozenset()
    # Actions whose answers have no personal data. A browser may keep these, and asks before use.
    impersonal_actions: ClassVar[frozenset[str]] = frozenset()

    # The freshness of the rows or the log that a GET reads; set before the query.
    freshness: Freshness

    # The route accepts any text as an id; for a malformed id the query answers "not found".
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
        shown = waiting.SHOWN
        if awaited is not None:
            shown = self.shows(awaited, timeout=seconds or 0)
        self.freshness = log_freshness() if self.reads_log() else self._freshness(request)
        if self.action in self.reads:
            self.incomplete = self.freshness.incomplete
            self.set_gap_header(self.gap_of_answer())
        self.headers |= headers.freshness_headers(self.freshness)
        self.headers["Vary"] = "Accept, Authorization, Cookie"
        is_kept = self.action in self.impersonal_actions
        self.headers["Cache-Control"] = f"private, {'no-cache' if is_kept else 'no-store'}"
        if awaited is not None and seconds is not None:
            if not shown:
                raise ProjectionBehindError(
                    required=published.position_of(awaited) or published.head(),
                    position=self.freshness.position,
                    gap=shown.gap,
                )
            self.headers[preferences.APPLIED] = "wait"
        elif not shown:
            self.headers[headers.BEHIND] = "true"

    def _freshness(self, request: Request) -> Freshness:
        return freshness(self._projections(), log_end=tokens.facts_of(request).get("log_end"))

    def shows(self, event_id: UUID, *, timeout: float) -> waiting.Visibility:
        """Return whether the answer will show the event; waits at most ``timeout`` seconds."""
        if self.reads_log():
            # A client gets its token after the commit, so the log has the event.
            return waiting.SHOWN
        return waiting.wait(event_id=event_id, projections=self._projections(), timeout=timeout)

    def reads_log(self) -> bool:
        """Return True if the answer is made from the log itself."""
        return self.action in self.log_actions

    def _projections(self) -> tuple[str, ...]:
        names = self.reads.get(self.action, ())
        # In all queries, the parameter q searches.
        return (*names, "search") if names and "q" in self.request.query_params else names

    def _list_tag(self, request: Request) -> str:
        """Return the ETag of this list for this user; empty if ``freshness`` has no state."""
        state = self.freshness.state
        if state is None or self.action not in self.reads:
            return ""
        shape = request.accepted_renderer.format
        query = etags.digest(state, request.build_absolute_uri(), shape, self._visibility())
        return etags.weak(self.freshness.position, query)

    def _visibility(self) -> tuple[Any, ...]:
        """Return the rights of the user that decide what an answer shows."""
        user = self.request.user
        return (customer_scope(user), *(user.has_perm(name) for name in permissions.LABELS))

    def _tag(self, tag: str) -> None:
        """Set the header ETag. Raises NotModifiedError when the client's copy has this tag."""
        if not tag or self.request.accepted_renderer.format == "api":
            # Browsable pages have no ETag, because the tokens in their forms are valid once.
            return
        self.headers["ETag"] = tag
        if etags.client_has(self.request, tag):
            raise etags.NotModifiedError(tag)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        # Only after the query is it sure that a list exists, which ``*`` asks for.
        if response.status_code == 200 and "ETag" in self.headers and etags.is_any(request):
            response = Response(status=304)
        return super().finalize_response(request, response, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, etags.NotModifiedError):
            return Response(status=304)
        self.headers.pop("ETag", None)
        if isinstance(exc, NotFoundError) and (gap := self.gap_of_path()):
            exc = ProjectionBehindError(
                required=published.head(), position=self.freshness.position, gap=gap
            )
        return super().handle_exception(exc)

    # --- Query and answer ----------------------------------------------------------------------
    def query(self, query_type: type[AnyQuery], **fields: Any) -> AnyQuery:
        """Return a query with the parameters of the request and these ``fields``.

        Raises UnknownParameterError and ParameterError, and NotModifiedError when the client's copy
        of a list is current: a 304 saves the query, the expensive part of a list.
        """
        query = parse_query(self.request, query_type, **fields)
        if self.action not in self.single_actions:
            self._tag(self._list_tag(self.request))
        return query

    def ask(self, query: Query[Answer]) -> Answer:
        """Dispatch ``query`` with the limits of the user; returns the answer."""
        return get_query_bus().dispatch(self.limited(query))

    def limited(self, query: AnyQuery) -> AnyQuery:
        """Return ``query`` with the limits of the user."""
        user = self.request.user
        limits = {
            "customer_scope": customer_scope(user),
            "with_personal": user.has_perm(permissions.VIEW_PII),
        }
        return query.model_copy(update=limits)

    def answer(self, body: BaseModel | dict[str, object]) -> Response:
        """Answer with ``body``."""
        return Response(body)

    def answer_whole(self, body: Row) -> Response:
        """Answer with ``body``, which is made from all streams of its projections."""
        gap = self.gap_of_answer()
        return self.answer(body.model_copy(update={"projection_gap": gap}) if gap else body)

    def answer_list(
        self,
        query: ListQuery[Item],
        body: Callable[[Item, Request], View] | None = None,
        *,
        streams: Streams | None = None,
    ) -> Response:
        """Answer with the page of ``query``; ``body`` converts each item, unless it is None.

        ``streams`` are the streams of every row, where the list is about one resource.
        """
        page = self.ask(query)
        rows = [body(item, self.request) for item in page.items] if body else page.items
        return self.answer_page(page, rows, streams=streams)

    def answer_page(
        self,
        page: Page[Any],
        rows: Sequence[Any] | None = None,
        *,
        streams: Streams | None = None,
    ) -> Response:
        """Answer with ``page``; ``rows`` replace its items, unless they are None."""
        links = page_links(self.request, page)
        self.headers["Link"] = link_header(links)
        rows = self.with_gaps(page.items if rows is None else rows, streams)
        gap = self.gap_of_answer(streams)
        self.set_gap_header(gap)
        body = page_body(links, page, results=rows)
        count = sum(getattr(row, "projection_gap", None) is not None for row in rows)
        return Response(Members(body, projection_gap=gap, projection_gaps=count))

    def answer_one(self, body: Row, resource: Versioned) -> Response:
        """Answer with ``body``, which shows ``resource``."""
        [body] = self.with_gaps([body])
        self.set_gap_header(body.projection_gap)
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
