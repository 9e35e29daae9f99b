"""What answers about events hold: as they are stored, as CloudEvents, and what they changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from drf_spectacular.utils import OpenApiExample
from pydantic import RootModel

from config.http.answers.renderers import JSONRenderer
from ordering_read.api.bodies import PageBody
from ordering_read.queries import EventView, OrderDetail, View
from ordering_write.published import Change, changes

# The parts of an order that are lists of objects: those that have an id, and which; and those whose
# place says which they are, since they are only ever added to.
_NAMED_BY = {
    "items": "line_id",
    "lines": "line_id",
    "shipments": "shipment_id",
    "refunds": "refund_id",
    "returns": "return_id",
    "notes": "note_id",
}
_ADDED_TO = ("adjustments", "payments")
# What every event changes, and so says nothing.
_ALWAYS_ANOTHER = {"version", "position", "updated_at"}


class EventPageBody(PageBody[EventView]):
    """A page of the events of an order."""


class OrderDiffBody(View):
    """What has changed of an order between two of its versions; 0 is before it was placed."""

    order_id: UUID
    from_version: int
    to_version: int
    changes: list[Change]

    @classmethod
    def of(cls, before: OrderDetail | None, after: OrderDetail) -> Self:
        return cls(
            order_id=after.id,
            from_version=before.version if before else 0,
            to_version=after.version,
            changes=list(changes(_parts_of(before) if before else {}, _parts_of(after))),
        )


def _parts_of(order: OrderDetail) -> Any:
    return _parts(order.model_dump(exclude=_ALWAYS_ANOTHER))


def _parts(value: Any, name: str = "") -> Any:
    """``value`` with the objects in its lists by their ids or places."""
    if isinstance(value, Mapping):
        return {key: _parts(part, key) for key, part in value.items()}
    if name in _NAMED_BY:
        return {str(part[_NAMED_BY[name]]): _parts(part) for part in value}
    if name in _ADDED_TO:
        return {str(place): _parts(part) for place, part in enumerate(value)}
    return value


class FeedBody(View):
    """Events in the order of the log.

    All up to `position` have been looked at, and `next` is where those behind it are. When it has
    no events, there are no more now, or none of the `types` that were asked for up to there.
    """

    events: tuple[EventView, ...]
    position: int
    next: str


class CloudEvent(View):
    """An event by CloudEvents 1.0.

    `sequence` is its position in the log, a whole number without gaps, and `streamversion` its
    version in the stream that `subject` names. `dataschema` names the fields of `data`: it is
    another one whenever a type gets other fields.
    """

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    sequence: str
    sequencetype: Literal["Integer"] = "Integer"
    streamversion: int
    recordedtime: datetime
    correlationid: UUID
    causationid: UUID
    data: dict[str, Any]

    @classmethod
    def of(cls, event: EventView, *, source: str) -> Self:
        """``event`` of the service at the address ``source``."""
        return cls(
            id=event.event_id,
            source=source,
            type=event.type,
            subject=event.stream,
            time=event.timestamp,
            dataschema=f"{source}#{event.type}.{event.schema_version}",
            sequence=str(event.position),
            streamversion=event.version,
            recordedtime=event.recorded_at,
            correlationid=event.correlation_id,
            causationid=event.causation_id,
            data=event.data,
        )


class CloudEvents(RootModel[list[CloudEvent]]):
    """A batch of CloudEvents."""


class CloudEventsRenderer(JSONRenderer):
    """CloudEvents as the JSON of a batch."""

    media_type = "application/cloudevents-batch+json"
    format = "cloudevents"


# --- Examples ----------------------------------------------------------------------------------
_ID = "01900000-0000-7000-8000-00000000000"
_EVENT = {
    "event_id": f"{_ID}1",
    "stream": f"order-{_ID}2",
    "version": 4,
    "position": 17,
    "type": "OrderHeld",
    "schema_version": 1,
    "timestamp": "2026-03-01T12:00:00Z",
    "recorded_at": "2026-03-01T12:00:00.004711Z",
    "actor": {"type": "user", "id": f"{_ID}3", "label": "clerk"},
    "channel": "api",
    "command_id": f"{_ID}4",
    "correlation_id": f"{_ID}5",
    "causation_id": f"{_ID}4",
    "commit_id": f"{_ID}6",
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "data": {"order_id": f"{_ID}2", "reason": "address", "note": "No number", "status": "pending"},
}
_SHOP = "https://orders.example/api/v1"
EVENTS_EXAMPLE = OpenApiExample(
    "A page of events",
    {
        "count": 1,
        "count_capped": False,
        "next": None,
        "previous": None,
        "next_cursor": None,
        "results": [{**_EVENT, "version": 1}],
    },
    response_only=True,
)
DIFF_EXAMPLE = OpenApiExample(
    "A unit less of one line",
    {
        "order_id": f"{_ID}2",
        "from_version": 4,
        "to_version": 5,
        "changes": [
            {"path": "/total_amount", "before": "39.80", "after": "19.90"},
            {"path": "/balance", "before": "39.80", "after": "19.90"},
            {"path": f"/items/{_ID}7/cancelled", "before": 0, "after": 1},
        ],
    },
    response_only=True,
)
FEED_EXAMPLES = [
    OpenApiExample(
        "Events",
        {"events": [_EVENT], "position": 17, "next": f"{_SHOP}/feed?after=17"},
        response_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "CloudEvents",
        [
            {
                "specversion": "1.0",
                "id": _EVENT["event_id"],
                "source": _SHOP,
                "type": _EVENT["type"],
                "subject": _EVENT["stream"],
                "time": _EVENT["timestamp"],
                "datacontenttype": "application/json",
                "dataschema": f"{_SHOP}#OrderHeld.1",
                "sequence": "17",
                "sequencetype": "Integer",
                "streamversion": 4,
                "recordedtime": _EVENT["recorded_at"],
                "correlationid": _EVENT["correlation_id"],
                "causationid": _EVENT["causation_id"],
                "data": _EVENT["data"],
            }
        ],
        response_only=True,
        media_type=CloudEventsRenderer.media_type,
    ),
]
