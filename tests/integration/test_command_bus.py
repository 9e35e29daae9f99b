"""The bus: each command takes effect at most once, however often it is repeated."""

from functools import partial
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_read.engine import waiting
from ordering_write import client
from ordering_write.bus import CommandBus, NotYetVisibleError, get_command_bus
from ordering_write.domain.commands import (
    CancelOrder,
    Command,
    ReceiveStock,
    RegisterCustomer,
    UpdateOrderStatus,
)
from ordering_write.domain.errors import (
    ConcurrentUpdateError,
    IdempotencyInFlightError,
    IdempotencyKeyReusedError,
    InsufficientInventoryError,
    NoHandlerFoundError,
)
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.handlers.base import CommandHandler
from ordering_write.log.outbox import NestedCommitError
from ordering_write.models import CommandRecord, Order, StockItem
from tests.kit import (
    USER,
    cancel,
    check_rows_equal_log,
    create_order,
    dispatch,
    placed_order,
    registered_customer,
    registered_product,
)
from tests.parallel import at_once

BUS = get_command_bus()


# --- Repeats -----------------------------------------------------------------------------------
def test_a_repeat_returns_the_first_events(db, customer):
    product = registered_product(10)
    command = create_order(customer, (product, 2), note="Ring twice")
    first = dispatch(command)
    again = dispatch(command.model_copy(update={"correlation_id": uuid7()}))
    assert not first.replayed
    assert again.replayed
    assert list(again) == list(first)
    product.refresh_from_db()
    assert product.reserved == 2


def test_a_command_id_belongs_to_one_command_of_one_user(db, customer):
    product = registered_product(10)
    command = create_order(customer, (product, 2))
    dispatch(command)
    for changed in (
        create_order(customer, (product, 3), command_id=command.command_id),
        RegisterCustomer(
            command_id=command.command_id, user_id=USER, name="Kim", email="kim@example.com"
        ),
        command.model_copy(update={"user_id": uuid7()}),
    ):
        with pytest.raises(IdempotencyKeyReusedError):
            dispatch(changed)


def test_a_refusal_does_not_use_up_the_command_id(db, customer):
    product = registered_product(1)
    command = create_order(customer, (product, 2))
    with pytest.raises(InsufficientInventoryError):
        dispatch(command)
    assert not CommandRecord.objects.filter(pk=command.command_id).exists()
    dispatch(ReceiveStock(user_id=USER, product_id=product.pk, quantity=1))
    assert not dispatch(command).replayed


def test_a_record_has_actor_and_fingerprint(db, clerk):
    command = RegisterCustomer(
        name="Kim Example", email="kim@example.com", **client.envelope(clerk, channel="cli")
    )
    client.dispatch(command, user=clerk)
    record = CommandRecord.objects.get()
    assert (record.type, record.user_id, record.channel) == ("RegisterCustomer", clerk.pk, "cli")
    assert record.actor == {"type": "user", "id": str(clerk.pk), "label": "clerk"}


def test_20_parallel_repeats_make_one_order(committed, customer):
    product = registered_product(100)
    command = create_order(customer, (product, 1))
    outcomes = at_once([lambda: dispatch(command)] * 20)
    assert Order.objects.count() == 1
    assert {tuple(event.recorded.event_id for event in events) for events in outcomes} == {
        tuple(event.recorded.event_id for event in outcomes[0])
    }
    assert sorted(events.replayed for events in outcomes) == [False] + [True] * 19
    check_rows_equal_log()


def test_a_repeat_that_waits_too_long_is_refused(committed, customer):
    command = create_order(customer, (registered_product(), 1))

    def impatient():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        return dispatch(command)

    with transaction.atomic():
        dispatch(command)
        [outcome] = at_once([impatient])
    assert type(outcome) is IdempotencyInFlightError


# --- Races -------------------------------------------------------------------------------------
def test_100_parallel_orders_of_a_stock_of_10(committed, customer):
    product = registered_product(10)
    commands = [create_order(customer, (product, 1)) for _ in range(100)]
    outcomes = at_once([partial(dispatch, command) for command in commands])
    refused = [outcome for outcome in outcomes if isinstance(outcome, InsufficientInventoryError)]
    assert len(refused) == 90
    assert Order.objects.count() == 10
    product.refresh_from_db()
    assert (product.reserved, product.available) == (10, 0)
    check_rows_equal_log()


def test_opposite_product_orders_do_not_deadlock(committed, customer):
    lamp, chair = registered_product(1000), registered_product(1000)
    commands = [
        create_order(customer, *([(lamp, 1), (chair, 1)] if n % 2 else [(chair, 1), (lamp, 1)]))
        for n in range(40)
    ]
    before = deadlocks()
    outcomes = at_once([partial(dispatch, command) for command in commands])
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert deadlocks() == before
    check_rows_equal_log()


def test_parallel_cancellations_release_once(committed, customer):
    product = registered_product(10)
    order = placed_order(customer, (product, 3))
    outcomes = at_once([lambda: dispatch(cancel(order)) for _ in range(8)])
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    product.refresh_from_db()
    assert product.reserved == 0
    check_rows_equal_log()


def test_a_lock_timeout_is_a_concurrent_update(committed, customer):
    product = registered_product(10)

    def impatient():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        return dispatch(create_order(customer, (product, 1)))

    with transaction.atomic():
        StockItem.objects.select_for_update().get(pk=product.pk)
        [outcome] = at_once([impatient])
    assert type(outcome) is ConcurrentUpdateError


class Victim(CommandHandler[RegisterCustomer]):
    """A handler that loses its first races."""

    def __init__(self, *, losses: int) -> None:
        self.losses = losses
        self.tries = 0

    def handle(self, command: Command) -> list[DomainEvent]:
        self.tries += 1
        if self.tries <= self.losses:
            raise OperationalError from DeadlockDetected()
        return []


@pytest.mark.parametrize("losses", [1, 2])
def test_a_lost_race_is_retried(committed, losses):
    bus, victim = CommandBus(), Victim(losses=losses)
    bus.register(RegisterCustomer, victim)
    bus.dispatch(RegisterCustomer(user_id=USER, name="Kim", email="kim@example.com"))
    assert victim.tries == losses + 1


def test_a_race_lost_too_often_is_a_concurrent_update(committed):
    bus, victim = CommandBus(), Victim(losses=100)
    bus.register(RegisterCustomer, victim)
    with pytest.raises(ConcurrentUpdateError):
        bus.dispatch(RegisterCustomer(user_id=USER, name="Kim", email="kim@example.com"))
    assert victim.tries == 3
    assert not CommandRecord.objects.exists()


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


# --- Around the handler ------------------------------------------------------------------------
def test_one_command_is_one_transaction(db, customer):
    bus = CommandBus()

    class Nesting(CommandHandler[RegisterCustomer]):
        def handle(self, command):
            return dispatch(create_order(customer, (registered_product(), 1)))

    bus.register(RegisterCustomer, Nesting())
    with pytest.raises(NestedCommitError):
        bus.dispatch(RegisterCustomer(user_id=USER, name="Kim", email="kim@example.com"))


def test_a_command_without_a_handler_is_refused(db):
    class Unheard(Command):
        pass

    with pytest.raises(NoHandlerFoundError, match="No handler is registered for Unheard"):
        BUS.dispatch(Unheard(user_id=USER))


def test_dispatch_from_async_code(db):
    command = RegisterCustomer(user_id=USER, name="Kim", email="kim@example.com")
    [event] = async_to_sync(BUS.adispatch)(command)
    assert event.recorded.command_id == command.command_id


WAITED: list[tuple[UUID, tuple[str, ...], float]] = []


def never_visible(*, event_id, projections, timeout):
    """Stands for the waiter of the read side: it never sees the event."""
    WAITED.append((event_id, tuple(projections), timeout))
    return waiting.BEHIND


def test_waiting_for_a_late_projection_raises_an_error(db, settings):
    settings.READ_SIDE_WAIT = f"{__name__}.never_visible"
    WAITED.clear()
    command = RegisterCustomer(user_id=USER, name="Kim", email="kim@example.com")
    with pytest.raises(NotYetVisibleError) as caught:
        BUS.dispatch(command, wait_for=["customer_view"], timeout=0.5)
    assert str(caught.value) == (
        "Accepted, not shown yet, because changes take longer than usual: look again soon."
    )
    [event] = caught.value.result
    assert [(event.recorded.event_id, ("customer_view",), 0.5)] == WAITED
    assert dispatch(command).replayed


# --- Who may -----------------------------------------------------------------------------------
def test_the_scope_of_a_customer_user_is_its_customer(db, customer_user, customer):
    stranger = registered_customer()
    product = registered_product()
    theirs = placed_order(stranger, (product, 1))
    command = CancelOrder(
        order_id=theirs.pk, reason="Mine", **client.envelope(customer_user, channel="python")
    )
    with pytest.raises(client.DomainError, match="Order not found"):
        client.dispatch(command, user=customer_user)
    assert client.envelope(customer_user, channel="api")["customer_scope"] == customer.pk


def test_a_customer_user_without_a_customer_has_an_empty_scope(db, make_user, customer):
    user = make_user(Role.CUSTOMER)
    order = placed_order(customer, (registered_product(), 1))
    command = UpdateOrderStatus(
        order_id=order.pk, status=OrderStatus.CANCELLED, **client.envelope(user, channel="api")
    )
    with pytest.raises(client.DomainError, match="Order not found"):
        client.dispatch(command, user=user)
