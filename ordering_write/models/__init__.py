"""The tables of the write side: aggregates, the log, personal data, commands."""

from ordering_write.models.aggregate import Aggregate, SavedWithoutEventsError, save
from ordering_write.models.command_record import CommandRecord, CommandTally
from ordering_write.models.customer import Customer
from ordering_write.models.order import Order, OrderItem, Shipment
from ordering_write.models.outbox import EventPending, EventPosition, OutboxEvent
from ordering_write.models.personal_data import PersonalData
from ordering_write.models.policy import PolicyCheckpoint, PolicyParkedEvent, Timer
from ordering_write.models.stock import Reservation, StockItem

__all__ = [
    "Aggregate",
    "CommandRecord",
    "CommandTally",
    "Customer",
    "EventPending",
    "EventPosition",
    "Order",
    "OrderItem",
    "OutboxEvent",
    "PersonalData",
    "PolicyCheckpoint",
    "PolicyParkedEvent",
    "Reservation",
    "SavedWithoutEventsError",
    "Shipment",
    "StockItem",
    "Timer",
    "save",
]
