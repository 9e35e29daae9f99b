"""The personal fields of events that a site reads, which no message has.

They are in the write database, or in a copy of its table ``personal_data`` in the read database,
which PostgreSQL keeps by logical replication. The copy may be late: a row that it lacks is erased
only if the copy is behind the commit of the event.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from ordering_write.relay.errors import PersonalDataBehindError, PersonalDataUnavailableError

_FIELDS = "SELECT id::text, fields::text FROM personal_data WHERE id = ANY(%s::uuid[])"
# All changes up to ``latest_end_lsn`` have been applied. A table that is still being copied isn't
# ready ("r").
_IS_BEHIND = """
SELECT copy.srsubstate <> 'r' OR applied.latest_end_lsn IS NULL OR applied.latest_end_lsn < %s
FROM pg_subscription_rel copy
JOIN pg_stat_subscription applied ON applied.subid = copy.srsubid AND applied.relid IS NULL
WHERE copy.srrelid = 'personal_data'::regclass
"""
_PATIENCE_SECONDS = 3.0
_SECONDS_BETWEEN_LOOKS = 0.05


def database() -> str:
    """Return the alias of the database with the personal fields."""
    return "read" if settings.PERSONAL_DATA == "site" else "default"


def fields_of(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the personal fields of ``messages`` as JSON, by the id of their row.

    Fields that are erased are left out. Raises PersonalDataBehindError and
    PersonalDataUnavailableError.
    """
    positions = {
        message["personal_id"]: message["wal"] for message in messages if message["personal_id"]
    }
    fields = _stored(list(positions))
    if missing := [key for key in positions if key not in fields]:
        wait_until_copied([positions[key] for key in missing])
        fields |= _stored(missing)
    return fields


def wait_until_copied(positions: Sequence[str]) -> None:
    """Wait until the copy has all changes up to these positions of the write-ahead log.

    Raises PersonalDataBehindError after some seconds. The write database is never behind.
    """
    if database() == "default":
        return
    ends_at = time.monotonic() + _PATIENCE_SECONDS
    position = max(positions, key=_number)
    while _is_behind(position):
        if time.monotonic() > ends_at:
            raise PersonalDataBehindError
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _stored(keys: Sequence[str]) -> dict[str, str]:
    if not keys:
        return {}
    try:
        with connections[database()].cursor() as cursor:
            cursor.execute(_FIELDS, [list(keys)])
            return dict(cursor.fetchall())
    except (InterfaceError, OperationalError) as error:
        if database() == "read":
            raise
        raise PersonalDataUnavailableError from error


def _is_behind(position: str) -> bool:
    with connections[database()].cursor() as cursor:
        cursor.execute(_IS_BEHIND, [position])
        row = cursor.fetchone()
    # Without a subscription nothing comes.
    return row is None or bool(row[0])


def _number(position: str) -> tuple[int, int]:
    high, _, low = position.partition("/")
    return int(high, 16), int(low, 16)
