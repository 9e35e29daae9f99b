"""Command-line options that select parked events by subscription, subscriber and stream."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from ordering_read.engine.live import PROJECTIONS
from ordering_read.projector import UnknownProjectionError
from ordering_write.published import parked, subscriptions


def add_subscription(parser: CommandParser) -> None:
    """Add --subscription, whose value ``subscriptions.find`` turns into a subscription."""
    parser.add_argument(
        "--subscription",
        default=PROJECTIONS.name,
        choices=[subscription.name for subscription in subscriptions.registered()],
        help="The subscription of the events: projections and policies park events separately "
        "(default: %(default)s).",
    )


def add_selection(parser: CommandParser) -> None:
    """Add the options that ``blocking_events`` reads."""
    add_subscription(parser)
    parser.add_argument(
        "--projection",
        "--name",
        dest="name",
        default="",
        metavar="NAME",
        help="Only events of this projection or other subscriber.",
    )
    parser.add_argument("--stream", default="", metavar="NAME", help="Only events of this stream.")


def blocking_events(
    subscription: subscriptions.Subscription, *, name: str, stream: str
) -> "QuerySet[Any]":
    """Return the selected events that block their streams; raises CommandError for an unknown
    ``name``."""
    try:
        return parked.blocking_events(subscription, name=name, stream=stream)
    except (UnknownProjectionError, subscriptions.UnknownSubscriberError) as error:
        raise CommandError(str(error)) from error


def other_parked_events(subscription: subscriptions.Subscription) -> Iterator[str]:
    """Yield a line for each other subscription with parked events: how to list these."""
    for other in _others(subscription):
        if count := parked.blocking_events(other).count():
            streams = f"{count:,} stream{'s are' if count > 1 else ' is'} parked"
            yield f"{streams} for the {other.name}: manage.py parked --subscription {other.name}"


def subscription_hint(subscription: subscriptions.Subscription, event_id: UUID) -> str:
    """Return a sentence that names the subscription which has parked the event, or nothing."""
    for other in _others(subscription):
        if parked.parked_events(other).filter(event_id=event_id).exists():
            return f" It is parked for the {other.name}: add --subscription {other.name}."
    return ""


def _others(subscription: subscriptions.Subscription) -> list[subscriptions.Subscription]:
    return [other for other in subscriptions.registered() if other.name != subscription.name]
