"""The tables of the write side: aggregates, the log, personal data, commands, timers, monitoring.

The checkpoint of the policies is in a layer above the log: ``policies.models``.
"""

from ordering_write.models.aggregate import (
    Aggregate,
    SavedWithoutEventsError,
    aggregate_types,
    save,
)
from ordering_write.models.archived_file import ArchivedFile, DetachedSpan
from ordering_write.models.bulk_job import BulkItem, BulkJob
from ordering_write.models.command_record import CommandMetric, CommandRecord
from ordering_write.models.customer import Customer
from ordering_write.models.guarded import WrittenDirectlyError
from ordering_write.models.identifier import Identifier
from ordering_write.models.monitoring import Alarm, SubscriberSample
from ordering_write.models.order import Order, OrderItem, Shipment
from ordering_write.models.outbox import EventPending, EventPosition, OutboxEvent
from ordering_write.models.personal_data import PersonalData
from ordering_write.models.queue_owner import QueueOwner
from ordering_write.models.refusal import CommandRefusal
from ordering_write.models.stock import Reservation, StockItem
from ordering_write.models.timer import Timer

__all__ = [
    "Aggregate",
    "Alarm",
    "ArchivedFile",
    "BulkItem",
    "BulkJob",
    "CommandMetric",
    "CommandRecord",
    "CommandRefusal",
    "Customer",
    "DetachedSpan",
    "EventPending",
    "EventPosition",
    "Identifier",
    "Order",
    "OrderItem",
    "OutboxEvent",
    "PersonalData",
    "QueueOwner",
    "Reservation",
    "SavedWithoutEventsError",
    "Shipment",
    "StockItem",
    "SubscriberSample",
    "Timer",
    "WrittenDirectlyError",
    "aggregate_types",
    "save",
]
