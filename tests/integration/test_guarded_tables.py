"""The tables of aggregates and of the log can't be written past the command bus."""

from collections.abc import Callable
from typing import Any

import pytest

from ordering_write.models import (
    Aggregate,
    Customer,
    EventPending,
    EventPosition,
    Order,
    OrderItem,
    OutboxEvent,
    Reservation,
    SavedWithoutEventsError,
    Shipment,
    StockItem,
    WrittenDirectlyError,
)
from tests import kit

MODELS: tuple[Any, ...] = (
    Customer,
    EventPending,
    EventPosition,
    Order,
    OrderItem,
    OutboxEvent,
    Reservation,
    Shipment,
    StockItem,
)
# Writes of a row past its owner, by name.
WRITES: dict[str, Callable[[Any], object]] = {
    "save": lambda row: row.save(),
    "delete": lambda row: row.delete(),
    "update_or_create": lambda row: type(row).objects.update_or_create(pk=row.pk),
    "update": lambda row: type(row).objects.update(pk=row.pk),
    "filtered update": lambda row: type(row).objects.filter(pk=row.pk).update(pk=row.pk),
    "filtered delete": lambda row: type(row).objects.filter(pk=row.pk).delete(),
    "bulk_create": lambda row: type(row).objects.bulk_create([row]),
    "bulk_update": lambda row: type(row).objects.bulk_update([row], ["version"]),
    "default manager": lambda row: type(row)._default_manager.all().delete(),
}


@pytest.mark.usefixtures("db")
def test_no_write_passes_the_command_bus_by(subtests: pytest.Subtests) -> None:
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    kit.dispatch(kit.move(order, kit.OrderStatus.CONFIRMED))
    kit.dispatch(kit.move(order, kit.OrderStatus.SHIPPED))
    counts = [model._base_manager.count() for model in MODELS]
    for model in MODELS:
        row = model.objects.first() or model(pk=1)
        is_aggregate = issubclass(model, Aggregate)
        for name, write in WRITES.items():
            saves = is_aggregate and name in ("save", "update_or_create")
            refusal = SavedWithoutEventsError if saves else WrittenDirectlyError
            with subtests.test(f"{model.__name__}: {name}"), pytest.raises(refusal):
                write(row)
    assert [model._base_manager.count() for model in MODELS] == counts
    kit.check_rows_equal_log()


@pytest.mark.usefixtures("db")
def test_no_row_is_created_past_the_command_bus(subtests: pytest.Subtests) -> None:
    for model in MODELS:
        refusal = SavedWithoutEventsError if issubclass(model, Aggregate) else WrittenDirectlyError
        for name in ("create", "get_or_create"):
            with subtests.test(f"{model.__name__}: {name}"), pytest.raises(refusal):
                getattr(model.objects, name)(pk=kit.uuid7() if "UUID" in _key(model) else 1)


def _key(model: Any) -> str:
    return type(model._meta.pk).__name__
