"""The query for what followed from one request: commands, their events, and what these caused."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from config.http.input.ids import PathId
from ordering_read.models import InventoryLevel
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.projections.actor_names import actor_name
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.sentences import EventKey, SentenceView, sentences_of
from ordering_read.queries.views import View
from ordering_write import published
from ordering_write.published import CorrelatedEvent, NotFoundError
from ordering_write.published import events as e

# The most events of one answer.
_MOST_EVENTS = 500


class NoSuchCorrelationError(NotFoundError):
    """No event has this correlation id."""


class CausedEvent(View):
    """An event of a stream, with the commands that policies gave because of it.

    `subject` is the prefix of the stream, such as `order`, and `subject_id` the id after it.
    `subject_name` is the number of an order or the name of a product, "" where it isn't shown.
    `sentence` and `icon` are null for events of other streams than orders, and while the timeline
    lacks the event.
    """

    log_id: int
    event_id: UUID
    type: str
    version: int
    subject: str
    subject_id: UUID
    subject_name: str
    sentence: str | None
    icon: TimelineEntry.Icon | None
    commands: "tuple[CausedCommand, ...]"


class CausedCommand(View):
    """A command with its events. `type` is null for a command whose record was deleted.

    `policy` is the name of the policy that gave the command, "" for others.
    """

    command_id: UUID
    type: str | None
    actor: str
    policy: str
    channel: str
    recorded_at: datetime
    events: tuple[CausedEvent, ...]


class CausesView(View):
    """The commands of a correlation that no event of it caused, each with all that followed.

    `is_whole` is false where the correlation has more events than the answer.
    """

    commands: tuple[CausedCommand, ...]
    is_whole: bool


class GetCauses(Query[CausesView]):
    """Get what followed from the request with this correlation id; nothing for a customer."""

    correlation_id: PathId


@handles(GetCauses)
class GetCausesHandler(QueryHandler[GetCauses, CausesView]):
    """Reads the events from the log in one statement, and their words in two."""

    def handle(self, query: GetCauses) -> CausesView:
        limit = _MOST_EVENTS + 1
        events = published.read_correlation(query.correlation_id, limit=limit)
        if not events or query.customer_scope is not None:
            raise NoSuchCorrelationError
        shown = events[:_MOST_EVENTS]
        sentences = sentences_of(query, [_key(event) for event in shown if _is_of_order(event)])
        tree = _Tree(shown, sentences, _product_names(shown))
        return CausesView(commands=tree.roots(), is_whole=len(shown) == len(events))


class _Tree:
    """Nests the events of a correlation below their commands, and commands below their causes."""

    def __init__(
        self,
        events: Collection[CorrelatedEvent],
        sentences: Mapping[EventKey, SentenceView],
        products: Mapping[UUID, str],
    ) -> None:
        self._sentences, self._products = sentences, products
        self._events_of: dict[UUID, list[CorrelatedEvent]] = defaultdict(list)
        for event in events:
            self._events_of[event.command_id].append(event)
        self._event_ids = {event.event_id for event in events}
        self._caused_by: dict[UUID, list[UUID]] = defaultdict(list)
        for command_id, [first, *_] in self._events_of.items():
            self._caused_by[first.causation_id].append(command_id)

    def roots(self) -> tuple[CausedCommand, ...]:
        return tuple(
            self._command(command_id)
            for cause_id, command_ids in self._caused_by.items()
            if cause_id not in self._event_ids
            for command_id in command_ids
        )

    def _command(self, command_id: UUID) -> CausedCommand:
        events = self._events_of[command_id]
        first = events[0]
        actor = e.Actor.model_validate(first.actor)
        return CausedCommand(
            command_id=command_id,
            type=first.command_type,
            actor=actor_name(actor),
            policy=actor.id if actor.type == "policy" else "",
            channel=first.channel,
            recorded_at=first.recorded_at,
            events=tuple(map(self._event, events)),
        )

    def _event(self, event: CorrelatedEvent) -> CausedEvent:
        subject, subject_id = _subject(event)
        words = self._sentences.get(_key(event))
        name = words.order_number if words else self._products.get(subject_id, "")
        return CausedEvent(
            log_id=event.id,
            event_id=event.event_id,
            type=event.type,
            version=event.version,
            subject=subject,
            subject_id=subject_id,
            subject_name=name,
            sentence=words and words.sentence,
            icon=words and words.icon,
            commands=tuple(map(self._command, self._caused_by.get(event.event_id, ()))),
        )


def _subject(event: CorrelatedEvent) -> tuple[str, UUID]:
    return _subject_of(event.stream)


@lru_cache(maxsize=1_000)
def _subject_of(stream: str) -> tuple[str, UUID]:
    prefix, _, key = stream.partition("-")
    return prefix, UUID(key)


def _key(event: CorrelatedEvent) -> EventKey:
    return _subject(event)[1], event.version


def _is_of_order(event: CorrelatedEvent) -> bool:
    return _subject(event)[0] == "order"


def _product_names(events: Collection[CorrelatedEvent]) -> dict[UUID, str]:
    subjects: list[tuple[str, UUID]] = [_subject(event) for event in events]
    product_ids = {key for prefix, key in subjects if prefix == "stock"}
    if not product_ids:
        return {}
    rows: Any = InventoryLevel.live.filter(product_id__in=product_ids)
    return dict(rows.values_list("product_id", "name"))
