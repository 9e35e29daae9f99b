"""The base classes of the response bodies of the read API: views with links, and pages of them."""

from functools import cache
from typing import Annotated, Any, Generic, NamedTuple, Self, TypeVar
from uuid import UUID

from django.urls import get_script_prefix
from django.urls import reverse as path_of
from pydantic import ConfigDict, Field
from rest_framework.request import Request
from rest_framework.reverse import preserve_builtin_query_params

from ordering_read.engine.gaps import ProjectionGap, Streams
from ordering_read.queries import View

Item = TypeVar("Item")

# The events that an answer or a row lacks; null if it lacks none.
Gap = Annotated[ProjectionGap | None, Field(examples=[None])]
# A placeholder for the id in the path of a route. No resource has it.
_ID = UUID(int=0)


class LinkTo(NamedTuple):
    """Marks a field of Links as the address of ``route`` with the id in ``field`` of the view.

    The address is None if the id is None.
    """

    route: str
    field: str


class Links(View):
    """The base class of links, such as
    ``product: Annotated[str, LinkTo("product-detail", "product_id")]``."""

    @classmethod
    def of(cls, view: View, request: Request) -> Self:
        """Return the links of ``view``, with None where it has no id."""
        ids, (start, end) = vars(view), _site(request)
        return cls.of_valid(
            **{
                name: None if (id := ids[field]) is None else f"{start}{before}{id}{after}{end}"
                for name, field, before, after in _templates(cls, get_script_prefix())
            }
        )


class Linked(View):
    """The base class of views with a field ``links``, whose type is a subclass of Links.

    A linked view has the fields of the view that it is made of, and their values.
    """

    @classmethod
    def of(cls, view: View, request: Request, **fields: Any) -> Self:
        """Return ``view`` with its links; ``fields`` replace fields of the view."""
        links: Any = cls.model_fields["links"].annotation
        return cls.of_valid(**{**vars(view), **fields, "links": links.of(view, request)})


class Row(View):
    """The base class of the bodies of rows, each of which says which events it lacks."""

    projection_gap: Gap = None

    def streams(self) -> Streams:
        """Return the streams that the row shows, by the name of the projection.

        None are known to rows of one stream, whose list passes it to ``answer_list``.
        """
        return {}


class PageBody(View, Generic[Item]):
    """The schema of ``page_body``. Its name for items of XBody or XView is XPageBody."""

    model_config = ConfigDict(
        json_schema_extra={
            "description": "A page of a list. `count` is the number of items of the whole list; "
            "when `count_capped` is true there are more. A page that was chosen by `cursor` is not "
            "counted: its `count` is null. `next_cursor` chooses the next page; it is null at the "
            "end of the list. `projection_gaps` is the number of rows on the page that lack "
            "events. `projection_gap` says why the list may lack events, and so rows; null if it "
            "lacks none."
        }
    )

    count: int | None
    count_capped: bool
    next: Annotated[str | None, Field(examples=[None])]
    previous: Annotated[str | None, Field(examples=[None])]
    next_cursor: Annotated[str | None, Field(examples=[None])]
    results: list[Item]
    projection_gap: Gap
    projection_gaps: int

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        [item] = params
        name = item.__name__.removesuffix("Body").removesuffix("View")
        return f"{getattr(item, 'list_name', name)}PageBody"


def address(route: str, resource_id: UUID, request: Request) -> str:
    """Return the address of a resource."""
    site = _site(request)
    before, after = _path(route, get_script_prefix())
    return f"{site.start}{before}{resource_id}{after}{site.end}"


class _Site(NamedTuple):
    """The parts around the path in each address of an answer: scheme and host, and the format that
    the request names by a query parameter."""

    start: str
    end: str


def _site(request: Request) -> _Site:
    """Return the site of ``request``, made once only."""
    site: _Site | None = vars(request).get("site")
    if site is None:
        start = request.build_absolute_uri("/").removesuffix("/")
        site = vars(request)["site"] = _Site(start, preserve_builtin_query_params("", request))
    return site


@cache
def _path(route: str, _script_prefix: str) -> tuple[str, str]:
    """Return the path of ``route`` before and after its id."""
    # Reversing a route is slow.
    before, after = path_of(route, kwargs={"pk": _ID}).split(str(_ID))
    return before, after


class _Template(NamedTuple):
    """The paths of a route: the texts before and after the id in ``field`` of the view."""

    name: str
    field: str
    before: str
    after: str


@cache
def _templates(links: type[Links], script_prefix: str) -> list[_Template]:
    """Return the templates of the fields of ``links``."""
    return [
        _Template(name, link.field, *_path(link.route, script_prefix))
        for name, field in links.model_fields.items()
        for link in field.metadata
        if isinstance(link, LinkTo)
    ]
