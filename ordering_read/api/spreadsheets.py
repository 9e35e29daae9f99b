"""Renders lists as CSV, for spreadsheets."""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.types import OpenApiTypes
from rest_framework.renderers import BaseRenderer

from config.http.answers.pagination import COUNT_CAP
from ordering_read.exports.formats import BYTE_ORDER_MARK, csv_lines
from ordering_read.queries import View

CSV = "text/csv"
# The largest number of rows in a response.
MAX_ROWS = COUNT_CAP


def documented(page: Any) -> dict[tuple[int, str], Any]:
    """Return the answers of a list as JSON and as CSV, for the OpenAPI document."""
    return {(200, "application/json"): page, (200, CSV): OpenApiTypes.STR}


class CSVRenderer(BaseRenderer):
    """Writes a line for each item, below a line with the names of the fields.

    The last field of each line, ``projection_gap``, is the reason why the file lacks events.
    """

    media_type = CSV
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Sequence[View] | None,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            # A 304 has no body.
            return b""
        view = (renderer_context or {})["view"]
        gap = view.gap_of_answer()
        reason = gap.reason if gap else ""
        names = [*view.row.model_fields, "projection_gap"]
        rows = ([*(value for _, value in item), reason] for item in data)
        return BYTE_ORDER_MARK.encode() + csv_lines([names, *rows])
