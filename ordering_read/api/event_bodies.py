"""The response bodies of events: stored events, CloudEvents, and changes of an order."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from drf_spectacular.utils import OpenApiExample
from pydantic import RootModel

from config.http.answers.renderers import JSONRenderer
from ordering_read.queries import View
from ordering_read.queries.events import EventView
from ordering_read.queries.order_diff import changes_of
from ordering_read.queries.orders import OrderDetail
from ordering_write.published import Change


class OrderDiffBody(View):
    """The changes of an order between two of its versions; 0 is before the order was placed."""

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
            changes=changes_of(before, after),
        )


class FeedBody(View):
    """Events in the order of the log.

    `position` is the last position that was read, and `next` the address of the events after
    `position`. An answer without events means that the log ends at `position`, or that no event up
    to `position` is of the requested `types`.
    """

    events: tuple[EventView, ...]
    position: int
    next: str


class CloudEvent(View):
    """An event in the format of CloudEvents 1.0.

    `sequence` is its position in the log, a whole number without gaps, and `streamversion` its
    version in the stream that `subject` names. `dataschema` identifies the fields of `data`: it
    changes whenever a type gets other fields.
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
        """Return ``event`` as a CloudEvent of the service at the address ``source``."""
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
    """Writes CloudEvents as the JSON of a batch."""

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
        "projection_gap": None,
        "projection_gaps": 0,
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
