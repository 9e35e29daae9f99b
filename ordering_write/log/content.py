"""The content of an event: the text that is hashed, and from which the event's row is written."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

# The columns in the content, behind the hash of the event before, and how PostgreSQL reads them.
_COLUMNS = {
    "event_id": "(content->>{})::uuid",
    "stream": "content->>{}",
    "version": "(content->>{})::integer",
    "type": "content->>{}",
    "schema_version": "(content->>{})::smallint",
    "timestamp": "(content->>{})::timestamptz",
    "recorded_at": "(content->>{})::timestamptz",
    "actor": "content->{}",
    "channel": "content->>{}",
    "command_id": "(content->>{})::uuid",
    "correlation_id": "(content->>{})::uuid",
    "causation_id": "(content->>{})::uuid",
    "data": "content->{}",
    "personal_id": "nullif(content->>{}, '')::uuid",
    "personal_digest": "content->>{}",
}
_MORE_COLUMNS = "hash, commit_id, traceparent"

# Inserts the rows of events; the parameter is a list of results of ``record``.
INSERT = f"""
INSERT INTO event ({", ".join(_COLUMNS)}, {_MORE_COLUMNS})
SELECT {", ".join(value.format(index) for index, value in enumerate(_COLUMNS.values(), start=1))},
       {_MORE_COLUMNS}
FROM jsonb_to_recordset(%s::jsonb)
    AS record (content jsonb, hash text, commit_id uuid, traceparent text)
"""  # noqa: S608 (the names above)


def content_of(row: Mapping[str, Any], previous: str) -> str:
    """Return the content of an event whose predecessor in the stream has the hash ``previous``.

    ``row`` holds the event's columns by name; ids may be texts.
    """
    return _canonical(
        [
            previous,
            str(row["event_id"]),
            row["stream"],
            row["version"],
            row["type"],
            row["schema_version"],
            _instant(row["timestamp"]),
            _instant(row["recorded_at"]),
            row["actor"],
            row["channel"],
            str(row["command_id"]),
            str(row["correlation_id"]),
            str(row["causation_id"]),
            row["data"],
            str(row["personal_id"] or ""),
            row["personal_digest"],
        ]
    )


def hash_of(content: str) -> str:
    """Return the hash of an event with this content."""
    return hashlib.sha256(content.encode()).hexdigest()


def content_hash(row: Mapping[str, Any], previous: str) -> str:
    """Return the hash of an event; see ``content_of``."""
    return hash_of(content_of(row, previous))


def record(content: str, *, content_hash: str, commit_id: str, traceparent: str) -> str:
    """Return the JSON object of which INSERT makes a row."""
    # The content is JSON already.
    return (
        f'{{"content":{content},"hash":"{content_hash}","commit_id":"{commit_id}",'
        f'"traceparent":"{traceparent}"}}'
    )


def digest(personal: Mapping[str, Any], salt: str) -> str:
    """Return the digest of personal fields, by which the log proves that they are unchanged."""
    return hashlib.sha256(f"{salt}{_canonical(personal)}".encode()).hexdigest()


def _canonical(content: object) -> str:
    return _ENCODER.encode(content)


# The events of a command have the same times.
@lru_cache(maxsize=16)
def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")
