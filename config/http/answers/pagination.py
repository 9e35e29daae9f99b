"""Pages of a long list: the parameters that choose a page, the body and the links that show it.

A page is chosen by its number, or by a cursor: the position behind the last item of the page
before. A cursor is as fast deep in a list as at the beginning. It shows no item twice and leaves
none out, even if rows are inserted between two pages.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, Self
from urllib.parse import urlencode

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest
from pydantic import Field, model_validator
from rest_framework.request import Request

from config.http.answers.encoding import Members
from config.http.errors import ParameterError
from config.http.input.query import Parameters, number

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
# Count at most this many rows: nobody turns 500 pages, and an exact count reads the whole table.
COUNT_CAP = 10_000
MAX_CURSOR_LENGTH = 1_000


class PageParameters(Parameters):
    """Base of a list's parameters: the page, and the number of items on it.

    An empty ``cursor`` is the beginning of the list.
    """

    page: number(ge=1, le=10**9) = Field(  # type: ignore[valid-type]
        1, description="Counted from 1."
    )
    page_size: number(ge=1, le=MAX_PAGE_SIZE) = Field(  # type: ignore[valid-type]
        DEFAULT_PAGE_SIZE, description="The number of items on a page."
    )
    cursor: str | None = Field(
        None,
        max_length=MAX_CURSOR_LENGTH,
        description="In place of `page`: the `next_cursor` of the page before, empty for the first "
        "page. Fast deep in a list, and stable while rows arrive.",
    )

    @model_validator(mode="after")
    def _refuse_page_and_cursor(self) -> Self:
        if {"page", "cursor"} <= self.model_fields_set:
            raise ValueError("a page is chosen by page or by cursor, not by both")
        return self


class Page(Protocol):
    """A page of a list, as a query returns it.

    ``count`` is the length of the list, or COUNT_CAP with ``capped`` for a longer one; a page
    chosen by ``cursor`` has no count. ``next_cursor`` chooses the next page, None at the end.
    """

    @property
    def items(self) -> Sequence[Any]: ...
    @property
    def page(self) -> int: ...
    @property
    def page_size(self) -> int: ...
    @property
    def count(self) -> int | None: ...
    @property
    def capped(self) -> bool: ...
    @property
    def cursor(self) -> str | None: ...
    @property
    def next_cursor(self) -> str | None: ...


def page_body(
    links: Mapping[str, str], page: Page, *, results: Iterable[Any] | None = None
) -> Members:
    """Return the body ``{count, count_capped, next, previous, next_cursor, results}`` of ``page``.

    ``links`` are its ``page_links``, and ``results`` default to the items. A page past the end is
    empty and leads back to the last one.
    """
    return Members(
        count=page.count,
        count_capped=page.capped,
        next=links.get("next"),
        previous=links.get("prev"),
        next_cursor=page.next_cursor,
        results=list(page.items if results is None else results),
    )


def page_links(request: HttpRequest | Request, page: Page) -> dict[str, str]:
    """Return the addresses of the pages "first", "prev", "next" and "last", as far as they exist.

    A capped list has no "last" page; a page chosen by cursor has neither "prev" nor "last".
    """
    address = _addresses(request)
    if page.cursor is not None or page.count is None:
        links = {"first": address(cursor="")}
        if page.next_cursor is not None:
            links["next"] = address(cursor=page.next_cursor)
        return links
    last = max(1, -(-page.count // page.page_size))
    links = {"first": address(page=1)}
    if page.page > 1:
        previous = page.page - 1
        links["prev"] = address(page=previous if page.capped else min(previous, last))
    # Without cursors, only the count says whether more items follow.
    if page.next_cursor is not None or page.page * page.page_size < page.count:
        links["next"] = address(page=page.page + 1)
    if not page.capped:
        links["last"] = address(page=last)
    return links


def link_header(links: Mapping[str, str]) -> str:
    """Return ``links`` as the header Link (RFC 8288)."""
    return ", ".join(f'<{address}>; rel="{relation}"' for relation, address in links.items())


def make_cursor(keys: Sequence[str], *, ordering: str) -> str:
    """Return the cursor of a position in a list: the sort keys of its row, as text."""
    return _signer(ordering).sign_object(list(keys))


def read_cursor(cursor: str, *, ordering: str) -> list[str]:
    """Return the sort keys in ``cursor``. Raises ParameterError for another ordering's cursor."""
    try:
        keys: list[str] = _signer(ordering).unsign_object(cursor)
    except BadSignature:
        detail = "A cursor is taken from next_cursor of the same list in the same ordering."
        raise ParameterError("cursor", detail) from None
    return keys


def _signer(ordering: str) -> Signer:
    # Signed, so that the keys can be passed to the database unchecked.
    return Signer(salt=f"cursor:{ordering}", sep=".")


def address_with(request: HttpRequest | Request, **changes: int | str) -> str:
    """Return the address of ``request`` with these query parameters, and on no other page."""
    return _addresses(request, *changes)(**changes)


def _addresses(request: HttpRequest | Request, *replaced: str) -> Callable[..., str]:
    """Return a function for the address of ``request`` with some query parameters in place of those
    that are ``replaced``, and on no other page."""
    removed = {"page", "cursor", *replaced}
    kept = [(name, values) for name, values in request.GET.lists() if name not in removed]
    query = f"{urlencode(kept, doseq=True)}&" if kept else ""
    start = f"{request.build_absolute_uri(request.path)}?{query}"
    return lambda **parameters: start + urlencode(parameters)
