"""The query parameters of the read API, and how the OpenAPI document shows them."""

from typing import Annotated, Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from pydantic import BeforeValidator

from config.http.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageParameters
from ordering_write.published import OrderStatus


def _split(value: Any) -> Any:
    return tuple(value.split(",")) if isinstance(value, str) else value


class StatusParameters(PageParameters):
    """A page of orders, in one status or one of several: ``status=pending,confirmed``."""

    status: Annotated[tuple[OrderStatus, ...] | None, BeforeValidator(_split)] = None


class OrderParameters(StatusParameters):
    """A page of orders, perhaps of one customer only."""

    customer: UUID | None = None


ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
PAGE = [
    OpenApiParameter(
        "page", {"type": "integer", "minimum": 1, "default": 1}, description="Counted from 1."
    ),
    OpenApiParameter(
        "page_size",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE},
    ),
]
STATUS = OpenApiParameter(
    "status",
    many=True,
    style="form",
    explode=False,
    enum=[str(status) for status in OrderStatus],
    description="One status, or several with commas between them.",
)
CUSTOMER = OpenApiParameter("customer", OpenApiTypes.UUID, description="Orders of this one only.")
