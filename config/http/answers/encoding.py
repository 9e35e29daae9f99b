"""Values in JSON answers: money as plain decimals, times in UTC, pydantic models as objects."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json
from rest_framework.utils.encoders import JSONEncoder as DRFEncoder


class Members(dict[str, Any]):
    """The members of a JSON object whose values ``encode`` accepts, such as a page of models."""


def encode(body: BaseModel | Members) -> bytes:
    """Return ``body`` as JSON.

    Its times must be in UTC, and its amounts without exponents, as those of all views are. pydantic
    takes a tenth of the time of ``JSONEncoder``.
    """
    # Without these two characters, JSON is valid JavaScript too.
    return to_json(body).replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


class JSONEncoder(DRFEncoder):
    """DRF's encoder, with pydantic models, Decimals without exponents, and RFC 3339 times with Z.

    Raises ValueError for a datetime without time zone.
    """

    def default(self, obj: Any) -> Any:
        if isinstance(obj, BaseModel):
            return obj.model_dump()
        if isinstance(obj, Decimal):
            return f"{obj:f}"
        if isinstance(obj, datetime):
            if obj.tzinfo is None:
                raise ValueError(f"{obj!r} has no time zone.")
            return obj.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return super().default(obj)
