"""Pages of a long list: the parameters that choose one and the body that shows it."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from django.http import HttpRequest
from rest_framework.request import Request

from config.http.query import Parameters, number

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
# Counting stops here: nobody turns five hundred pages, and an exact count reads the whole table.
COUNT_CAP = 10_000


class PageParameters(Parameters):
    """The base of a list's parameters: which page, and how many items on it."""

    page: number(ge=1, le=10**9) = 1  # type: ignore[valid-type]
    page_size: number(ge=1, le=MAX_PAGE_SIZE) = DEFAULT_PAGE_SIZE  # type: ignore[valid-type]


class Page(Protocol):
    """One page as a query answers it; ``count`` is at most COUNT_CAP, ``capped`` when more."""

    @property
    def items(self) -> Sequence[Any]: ...
    @property
    def page(self) -> int: ...
    @property
    def page_size(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def capped(self) -> bool: ...


def page_body(
    request: HttpRequest | Request, page: Page, *, results: Iterable[Any] | None = None
) -> dict[str, Any]:
    """The body ``{count, count_capped, next, previous, results}`` of ``page``.

    ``results`` are the items unless given. A page past the end is empty and leads back to the last.
    """
    shown = list(page.items if results is None else results)
    full = len(shown) >= page.page_size
    has_next = full and (page.capped or page.page * page.page_size < page.count)
    last = max(1, -(-page.count // page.page_size))
    previous = page.page - 1 if page.capped else min(page.page - 1, last)
    return {
        "count": page.count,
        "count_capped": page.capped,
        "next": _address(request, page.page + 1) if has_next else None,
        "previous": _address(request, previous) if page.page > 1 else None,
        "results": shown,
    }


def _address(request: HttpRequest | Request, page: int) -> str:
    parameters = request.GET.copy()
    parameters["page"] = str(page)
    return str(request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}"))
