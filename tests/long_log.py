"""Makes a long log: copies of the events in it, each with ids and hashes of its own."""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

from django.db import connection, transaction

from ordering_write.log.content import content_hash
from ordering_write.models import OutboxEvent

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_COLUMNS = [
    str(field.column) for field in OutboxEvent._meta.concrete_fields if field.column != "id"
]
_POSITIONS = """
INSERT INTO event_position (position, event_id)
SELECT (SELECT coalesce(max(position), 0) FROM event_position) + row_number() OVER (ORDER BY id), id
FROM event WHERE NOT EXISTS (SELECT FROM event_position WHERE event_id = event.id)
"""


def lengthen(prefix: str, *, events: int) -> None:
    """Add copies of the streams ``prefix-…`` to the log, at least so many events, with positions.

    The copies have no rows and no personal fields of their own.
    """
    originals = list(
        OutboxEvent.objects.filter(stream__startswith=f"{prefix}-").order_by("id").values(*_COLUMNS)
    )
    copies = -(-events // len(originals))
    columns = ", ".join(_COLUMNS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        with cursor.copy(f"COPY event ({columns}) FROM STDIN") as copy:
            for row in _copies(originals, copies):
                copy.write_row([_stored(row[name]) for name in _COLUMNS])
        cursor.execute(_POSITIONS)


def _copies(originals: list[dict[str, Any]], copies: int) -> Iterator[dict[str, Any]]:
    content = json.dumps(originals, default=str)
    for _ in range(copies):
        text = _ID.sub(partial(_other, {}), content)
        hashes: dict[str, str] = {}
        for original, row in zip(originals, json.loads(text), strict=True):
            row |= {name: original[name] for name in ("timestamp", "recorded_at")}
            row["hash"] = content_hash(row, hashes.get(row["stream"], ""))
            hashes[row["stream"]] = row["hash"]
            yield row


def _other(ids: dict[str, str], original: re.Match[str]) -> str:
    """Return the id in the copy for an id of the original, the same each time."""
    return ids.setdefault(original[0], str(uuid4()))


def _stored(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value
