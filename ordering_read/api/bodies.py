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
        ids = vars(view)
        return cls.of_valid(
            **{
                name: None if (id := ids[field]) is None else f"{before}{id}{after}"
                for name, field, before, after in _templates(cls, request)
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
    path = _path(route, get_script_prefix()).replace(str(_ID), str(resource_id))
    return preserve_builtin_query_params(request.build_absolute_uri(path), request)


@cache
def _path(route: str, _script_prefix: str) -> str:
    # Reversing a route is slow.
    return path_of(route, kwargs={"pk": _ID})


class _Template(NamedTuple):
    """The addresses of a route: the texts before and after the id in ``field`` of the view."""

    name: str
    field: str
    before: str
    after: str


def _templates(links: type[Links], request: Request) -> list[_Template]:
    """Return the templates of ``links`` for ``request``, made once only."""
    of_request: dict[type[Links], list[_Template]] = vars(request).setdefault("link_templates", {})
    if links not in of_request:
        of_request[links] = [
            _Template(name, link.field, *address(link.route, _ID, request).rsplit(str(_ID), 1))
            for name, field in links.model_fields.items()
            for link in field.metadata
            if isinstance(link, LinkTo)
        ]
    return of_request[links]
