"""System checks of the write side."""

from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from ordering_write import ports
from ordering_write.domain.events import DomainEvent
from ordering_write.handlers import all_handlers
from ordering_write.log import outbox
from ordering_write.models import Aggregate
from ordering_write.signals import domain_events


def check_outbox_connected(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the outbox receives events, which would be lost otherwise."""
    receivers, _async_receivers = domain_events._live_receivers(sender=None)
    if outbox.append in receivers:
        return []
    return [
        Error(
            "The outbox is not connected to the signal domain_events.",
            hint="ordering_write.apps connects it; is ordering_write in INSTALLED_APPS?",
            id="ordering_write.E001",
        )
    ]


def check_upcasters(**_kwargs: Any) -> list[CheckMessage]:
    """Check that every event type has all upcasters that old events need."""
    return [
        Error(
            f"{name} has schema version {event_type.schema_version} and upcasters from the "
            f"versions {sorted(event_type.upcasters)}.",
            hint="There must be one from each version before the present one, and no other.",
            obj=event_type,
            id="ordering_write.E002",
        )
        for name, event_type in DomainEvent.types.items()
        if set(event_type.upcasters) != set(range(1, event_type.schema_version))
    ]


def check_ports(**_kwargs: Any) -> list[CheckMessage]:
    """Check that every port has an adapter, before the first order needs it."""
    return [
        Error(
            f"The port {port!r} has no adapter that does its work: {fault}.",
            hint="settings.PORTS names a class for each port, which has all methods of its "
            "protocol and is made without arguments.",
            id="ordering_write.E003",
        )
        for port, fault in ports.faults().items()
    ]


def check_anonymized(**_kwargs: Any) -> list[CheckMessage]:
    """Check that an erasure of a customer reaches every aggregate with personal fields."""
    return [
        Error(
            f"{aggregate.__name__} has personal fields in {event.__name__}, and no event that "
            "erases them.",
            hint="Its anonymized_by names an event with erases = True, and its column customer_id "
            "the customer.",
            obj=aggregate,
            id="ordering_write.E004",
        )
        for handler in all_handlers().values()
        for aggregate in [handler.aggregate]
        for event in handler.events
        if event.personal and not _is_anonymized(aggregate)
    ]


def check_archive(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the packages of the archive are installed if there is one."""
    if not settings.ARCHIVE_URL or all(map(find_spec, ("duckdb", "fsspec"))):
        return []
    return [
        Error(
            "ARCHIVE_URL names an archive, and its packages aren't installed.",
            hint="Install requirements-archive.txt by pip, or leave ARCHIVE_URL empty.",
            id="ordering_write.E005",
        )
    ]


def check_relay(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the packages of the relay are installed if the log is published or read there."""
    systems = {settings.RELAY, settings.LOG_SOURCE}
    needed = {"nats": "nats", "kafka": "confluent_kafka"}
    messages: list[CheckMessage] = [
        Error(
            f"RELAY or LOG_SOURCE names {system}, and its package isn't installed.",
            hint="Install requirements-relay.txt by pip, or leave the variable empty.",
            id="ordering_write.E006",
        )
        for system, package in needed.items()
        if system in systems and not find_spec(package)
    ]
    if settings.PERSONAL_DATA == "site" and settings.LOG_SOURCE == "primary":
        messages.append(
            Warning(
                "PERSONAL_DATA=site has no effect without LOG_SOURCE=nats or kafka.",
                hint="Set LOG_SOURCE, or leave PERSONAL_DATA empty.",
                id="ordering_write.W001",
            )
        )
    return messages


def _is_anonymized(aggregate: type[Aggregate]) -> bool:
    has_customer = any(field.attname == "customer_id" for field in aggregate._meta.concrete_fields)
    return has_customer and bool(aggregate.anonymized_by and aggregate.anonymized_by.erases)
