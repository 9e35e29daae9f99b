"""The unit of work: commands of one transaction share aggregates and are written together."""

import io
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from ordering_write import log
from ordering_write.bus import get_command_bus
from ordering_write.domain.errors import InsufficientInventoryError
from ordering_write.domain.events import OrderStatus
from ordering_write.log import outbox
from ordering_write.models import CommandRecord, Order, OutboxEvent, Reservation, StockItem
from tests.kit import (
    cancel,
    check_rows_equal_log,
    create_order,
    dispatch,
    move,
    placed_order,
    registered_customer,
    registered_product,
)

_STATES = (OrderStatus.CONFIRMED, OrderStatus.PROCESSING, OrderStatus.SHIPPED)


def test_the_commands_of_a_unit_are_written_together_as_if_each_were_alone(
    committed: None,
) -> None:
    customer = registered_customer()
    with CaptureQueriesContext(connection) as statements, outbox.unit_of_work():
        product = registered_product(10)
        order = placed_order(customer, (product, 2))
        before = len(statements)
        for status in _STATES:
            dispatch(move(order, status))
        assert len(statements) == before
        # A statement of any kind sees what was written before it.
        assert Order.objects.get(pk=order.pk).status == OrderStatus.SHIPPED
    assert StockItem.objects.get(pk=product.pk).on_hand == 8
    assert not Reservation.objects.exists()
    assert CommandRecord.objects.count() == 6
    commits = OutboxEvent.objects.filter(stream=order.stream).values_list("commit_id", flat=True)
    assert len(set(commits)) == 4
    check_rows_equal_log()
    # The chains of hashes and the positions are those of any log.
    call_command("verify_log", stdout=io.StringIO())
    assert log.head() == OutboxEvent.objects.count()


def test_the_orders_of_a_unit_draw_numbers_before_any_is_written(db: None) -> None:
    with CaptureQueriesContext(connection) as statements, outbox.unit_of_work():
        customer, product = registered_customer(), registered_product(5)
        before = len(statements)
        for _ in range(3):
            dispatch(create_order(customer, (product, 1)))
        texts = [statement["sql"] for statement in list(statements)[before:]]
        assert len(texts) == 3
        assert all("order_number_seq" in text for text in texts)
    numbers = set(Order.objects.values_list("order_number", flat=True))
    assert len(numbers) == 3
    check_rows_equal_log()


def test_a_unit_goes_on_with_aggregates_from_before_it(db: None) -> None:
    customer, product = registered_customer(), registered_product(5, backorderable=True)
    older = placed_order(customer, (product, 4))
    waiting = placed_order(customer, (product, 3))
    with outbox.unit_of_work():
        newer = placed_order(customer, (product, 1))
        dispatch(cancel(older))
        dispatch(cancel(newer))
    stock = StockItem.objects.get(pk=product.pk)
    assert (stock.on_hand, stock.reserved, stock.backordered) == (5, 3, 0)
    assert [row.order_id for row in Reservation.objects.all()] == [waiting.pk]
    check_rows_equal_log()


def test_a_command_that_fails_undoes_the_unit_also_if_its_error_is_caught(db: None) -> None:
    customer, product = registered_customer(), registered_product(5)
    events = OutboxEvent.objects.count()
    with suppress(Exception), outbox.unit_of_work():
        placed_order(customer, (product, 2))
        with pytest.raises(InsufficientInventoryError):
            dispatch(create_order(customer, (product, 4)))
    assert (OutboxEvent.objects.count(), Order.objects.count()) == (events, 0)
    assert dispatch(create_order(customer, (product, 5)))
    check_rows_equal_log()


def test_a_unit_takes_no_dry_run_and_no_command_that_took_effect_before(db: None) -> None:
    customer, product = registered_customer(), registered_product(5)
    command: Any = create_order(customer, (product, 1))
    with pytest.raises(outbox.NestedCommitError), outbox.unit_of_work():
        get_command_bus().preview(command)
    dispatch(command)
    with pytest.raises(IntegrityError), outbox.unit_of_work():
        dispatch(command)
    assert Order.objects.count() == 1
