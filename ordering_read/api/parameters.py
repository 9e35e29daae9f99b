"""The query parameters of the read API, and how the OpenAPI document shows them."""

import re
from datetime import date
from typing import Annotated, Any, Literal, Self, get_args
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from config.http.answers.pagination import (
    DEFAULT_PAGE_SIZE,
    MAX_CURSOR_LENGTH,
    MAX_PAGE_SIZE,
    PageParameters,
)
from config.http.input.query import Parameters, number
from ordering_read.api.headers import LINK
from ordering_read.projector import registered
from ordering_read.queries.customers import CustomerFilters
from ordering_read.queries.events import MAX_EVENTS
from ordering_read.queries.filters import Currency, Moment, Several
from ordering_read.queries.inventory import InventoryFilters, Kind
from ordering_read.queries.order_lists import AllOrderFilters, OrderFilters
from ordering_read.queries.reports import Group, SalesGroups
from ordering_read.queries.timeline import Visibility
from ordering_write.published import DomainEvent


def _iso_day(value: Any) -> Any:
    # Pydantic alone would take a number for a moment.
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise PydanticCustomError("day", "A day is written such as 2026-03-01")
    return value


def _projection(name: str) -> str:
    if name not in registered():
        raise ValueError(f"there are {', '.join(sorted(registered()))}")
    return name


def _known_type(name: str) -> str:
    if name not in DomainEvent.types:
        raise ValueError(f"there is no event type {name!r}")
    return name


EventType = Annotated[
    str,
    AfterValidator(_known_type),
    WithJsonSchema({"type": "string", "enum": sorted(DomainEvent.types)}),
]
# No stream has more.
_MOST_EVENTS = 10**9
Day = Annotated[date, BeforeValidator(_iso_day)]


class OrderParameters(AllOrderFilters, PageParameters):
    """A page of orders."""


class OwnOrderParameters(OrderFilters, PageParameters):
    """A page of one customer's orders."""


class LookBackParameters(Parameters):
    """An order as it is by now, or as it was: one of these, or none."""

    consistency: Annotated[
        Literal["strong"] | None,
        Field(description="`strong`: what no projection has applied yet is shown too."),
    ] = None
    version: Annotated[
        number(ge=1, le=_MOST_EVENTS) | None,  # type: ignore[valid-type]
        Field(description="As it was after so many of its events."),
    ] = None
    as_of: Annotated[
        Moment | None,
        Field(
            description="As it was known then; a day is its first moment on the store's clocks.",
            examples=["2026-03-01T12:00:00Z"],
        ),
    ] = None

    @property
    def looks_back(self) -> bool:
        return self.version is not None or self.as_of is not None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if len(self.model_fields_set) > 1:
            raise ValueError("an order is shown strong, at a version or as of a time: one of them")
        return self


class DiffParameters(Parameters):
    """From one version of an order to another one."""

    first: Annotated[
        number(ge=0, le=_MOST_EVENTS),  # type: ignore[valid-type]
        Field(alias="from", description="The version before; 0 is before it was placed."),
    ] = 0
    last: Annotated[
        number(ge=1, le=_MOST_EVENTS) | None,  # type: ignore[valid-type]
        Field(alias="to", description="The version after; the newest unless given."),
    ] = None


class FeedParameters(Parameters):
    """A part of the feed."""

    after: Annotated[
        number(ge=0, le=10**18),  # type: ignore[valid-type]
        Field(description="The position behind which it begins; 0 for the beginning of the log."),
    ] = 0
    types: Annotated[
        Several[EventType], Field(description="Events of these types only; all unless given.")
    ] = ()
    limit: Annotated[
        number(ge=1, le=MAX_EVENTS),  # type: ignore[valid-type]
        Field(description="How many events at most."),
    ] = 100


class ParkedEventParameters(PageParameters):
    """A page of parked events, perhaps of one projection or stream only."""

    projection: Annotated[str, AfterValidator(_projection)] = ""
    stream: Annotated[str, Field(max_length=60)] = ""


class CustomerParameters(CustomerFilters, PageParameters):
    """A page of customers."""


class InventoryParameters(InventoryFilters, PageParameters):
    """A page of products."""


class TimelineParameters(PageParameters):
    """A page of what has happened, perhaps of one visibility only."""

    visibility: Visibility | None = None


class MovementParameters(PageParameters):
    """A page of movements, perhaps of one kind only."""

    kind: Kind | None = None


class SalesParameters(PageParameters):
    """A page of sales: from one day to another, both included, perhaps in one currency only."""

    first_day: Day | None = Field(default=None, alias="from")
    last_day: Day | None = Field(default=None, alias="to")
    currency: Currency | None = None

    @field_validator("last_day")
    @classmethod
    def _not_before_the_first(cls, last: date | None, info: ValidationInfo) -> date | None:
        first = info.data.get("first_day")
        if first and last and last < first:
            raise ValueError(f"{last} is before {first}")
        return last


class SalesByDayParameters(SalesGroups, SalesParameters):
    """A page of sales by day, week or month."""


class ProductSalesParameters(SalesParameters):
    """A page of sales, perhaps of one product only."""

    product: UUID | None = None


def documented(model: type[BaseModel]) -> list[OpenApiParameter]:
    """How the OpenAPI document shows the parameters that are the fields of ``model``."""
    schema = model.model_json_schema()
    return [
        _documented(name, field, schema.get("$defs", {}))
        for name, field in schema["properties"].items()
    ]


def _documented(name: str, field: dict[str, Any], known: dict[str, Any]) -> OpenApiParameter:
    # What may be left out may be null for pydantic; nobody can send that.
    [shape] = [one for one in field.get("anyOf", [field]) if one.get("type") != "null"]
    shape = _bare(shape, known)
    if "items" in shape:
        shape["items"] = _bare(shape["items"], known)
    if field.get("default") is not None:
        shape["default"] = field["default"]
    is_list = "items" in shape
    return OpenApiParameter(
        name,
        shape,
        description=field.get("description", ""),
        # With commas between the values.
        style="form" if is_list else None,
        explode=False if is_list else None,
    )


def _bare(shape: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in shape:
        shape = known[shape["$ref"].rpartition("/")[2]]
    # What pydantic calls it, and what the parameter itself says.
    return {key: shape[key] for key in shape.keys() - {"title", "description", "default"}}


ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
NUMBER = OpenApiParameter(
    "number", {"type": "string", "examples": ["2026-000123"]}, OpenApiParameter.PATH
)
PAGE = [
    OpenApiParameter(
        "page",
        {"type": "integer", "minimum": 1, "maximum": 10**9, "default": 1},
        description="Counted from 1.",
    ),
    OpenApiParameter(
        "page_size",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE},
    ),
    OpenApiParameter(
        "cursor",
        {"type": "string", "maxLength": MAX_CURSOR_LENGTH},
        description="In place of `page`: the `next_cursor` of the page before, empty for the "
        "first one. Deep in a list it is fast, and stable while rows arrive.",
    ),
    LINK,
]
PROJECTION = OpenApiParameter(
    "projection", {"type": "string", "maxLength": 60}, description="Of this projection only."
)
STREAM = OpenApiParameter(
    "stream", {"type": "string", "maxLength": 60}, description="Of this stream only."
)
VISIBILITY = OpenApiParameter("visibility", enum=Visibility.values)
KIND = OpenApiParameter("kind", enum=Kind.values)
SALES = [
    OpenApiParameter("from", OpenApiTypes.DATE, description="The first day, in the store's zone."),
    OpenApiParameter("to", OpenApiTypes.DATE, description="The last day, itself included."),
    OpenApiParameter(
        "currency", {"type": "string", "pattern": "^[A-Z]{3}$"}, description="An ISO 4217 code."
    ),
]
GROUP = OpenApiParameter(
    "group",
    {"type": "string", "enum": list(get_args(Group)), "default": "day"},
    description="Whether `day` is one, or the first one of a week or month that is added up. Weeks "
    "and months have no cursors.",
)
PRODUCT = OpenApiParameter("product", OpenApiTypes.UUID, description="Sales of this one only.")
