"""Values in JSON answers: money as plain decimals, times in UTC, pydantic models as objects."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from rest_framework.utils.encoders import JSONEncoder as DRFEncoder


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
