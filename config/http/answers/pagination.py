"""Pages of a long list: the parameters that choose one, the body and the links that show it.

A page is chosen by its number, or by a cursor: the place behind the last item of the page before.
Deep in a list that costs as little as at its beginning, and nothing is shown twice or left out
when rows arrive meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, Self

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest
from pydantic import Field, model_validator
from rest_framework.request import Request

from config.http.errors import ParameterError
from config.http.input.query import Parameters, number

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
# Counting stops here: nobody turns five hundred pages, and an exact count reads the whole table.
COUNT_CAP = 10_000
MAX_CURSOR_LENGTH = 1_000


class PageParameters(Parameters):
    """The base of a list's parameters: which page, and how many items on it.

    An empty ``cursor`` is the beginning of the list.
    """

    page: number(ge=1, le=10**9) = 1  # type: ignore[valid-type]
    page_size: number(ge=1, le=MAX_PAGE_SIZE) = DEFAULT_PAGE_SIZE  # type: ignore[valid-type]
    cursor: str | None = Field(default=None, max_length=MAX_CURSOR_LENGTH)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if {"page", "cursor"} <= self.model_fields_set:
            raise ValueError("a page is chosen by page or by cursor, not by both")
        return self


class Page(Protocol):
    """One page as a query answers it; ``count`` is at most COUNT_CAP, ``capped`` when more.

    ``cursor`` is the one that it was chosen by, and then it has no ``count``; ``next_cursor``
    leads on, None at the end.
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
    request: HttpRequest | Request, page: Page, *, results: Iterable[Any] | None = None
) -> dict[str, Any]:
    """The body ``{count, count_capped, next, previous, next_cursor, results}`` of ``page``.

    ``results`` are the items unless given. A page past the end is empty and leads back to the last.
    """
    links = page_links(request, page)
    return {
        "count": page.count,
        "count_capped": page.capped,
        "next": links.get("next"),
        "previous": links.get("prev"),
        "next_cursor": page.next_cursor,
        "results": list(page.items if results is None else results),
    }


def page_links(request: HttpRequest | Request, page: Page) -> dict[str, str]:
    """Where the pages "first", "prev", "next" and "last" are, as far as there are such.

    The last page of a list that wasn't counted to its end isn't known, and a cursor leads on only.
    """
    if page.cursor is not None or page.count is None:
        links = {"first": _address(request, cursor="")}
        if page.next_cursor is not None:
            links["next"] = _address(request, cursor=page.next_cursor)
        return links
    last = max(1, -(-page.count // page.page_size))
    links = {"first": _address(request, page=1)}
    if page.page > 1:
        before = page.page - 1
        links["prev"] = _address(request, page=before if page.capped else min(before, last))
    # A list without cursors says by its count that there are more.
    if page.next_cursor is not None or page.page * page.page_size < page.count:
        links["next"] = _address(request, page=page.page + 1)
    if not page.capped:
        links["last"] = _address(request, page=last)
    return links


def link_header(links: Mapping[str, str]) -> str:
    """``links`` as the header Link (RFC 8288)."""
    return ", ".join(f'<{address}>; rel="{relation}"' for relation, address in links.items())


def make_cursor(place: Sequence[str], *, ordering: str) -> str:
    """The cursor of a place in a list with this ordering: what names it, as text."""
    return _signer(ordering).sign_object(list(place))


def read_cursor(cursor: str, *, ordering: str) -> list[str]:
    """The place that ``cursor`` stands for. Raises ParameterError unless it is one of this list."""
    try:
        place: list[str] = _signer(ordering).unsign_object(cursor)
    except BadSignature:
        text = "A cursor is taken from next_cursor of the same list in the same ordering."
        raise ParameterError("cursor", text) from None
    return place


def _signer(ordering: str) -> Signer:
    # Signed, so that what it says can be given to the database as it is.
    return Signer(salt=f"cursor:{ordering}", sep=".")


def _address(request: HttpRequest | Request, **chosen: int | str) -> str:
    parameters = request.GET.copy()
    for name in ("page", "cursor"):
        parameters.pop(name, None)
    for name, value in chosen.items():
        parameters[name] = str(value)
    return str(request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}"))
