"""The actors of commands and events, as the log and the command records store them."""

from uuid import UUID

import pytest

from config.accounts.models import User
from ordering_write import log
from ordering_write.admin.common import actor_label
from ordering_write.bus.permissions import envelope
from ordering_write.domain.values import Actor
from ordering_write.models import CommandRecord, Customer, OutboxEvent, StockItem
from tests import kit

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def product() -> StockItem:
    return kit.registered_product()


def test_staff_act_on_behalf_of_a_customer(
    clerk: User, customer: Customer, product: StockItem
) -> None:
    order = kit.placed_order(customer, (product, 1), **envelope(clerk, channel="api"))

    [first, *rest] = [event.recorded for event in log.read_stream(order.stream)]
    actor = Actor.user(clerk.pk, "clerk").model_copy(update={"on_behalf_of": str(customer.pk)})
    assert {recorded.actor for recorded in (first, *rest)} == {actor}
    record = CommandRecord.objects.get(pk=first.command_id)
    assert actor_label(record.actor) == f"clerk on behalf of customer {customer.pk}"


def test_a_customer_acts_on_nobody_elses_behalf(
    customer_user: User, customer: Customer, product: StockItem
) -> None:
    order = kit.placed_order(customer, (product, 1), **envelope(customer_user, channel="api"))

    event = OutboxEvent.objects.filter(stream=order.stream).earliest("version")
    assert event.actor == {"type": "user", "id": str(customer_user.pk), "label": "customer"}


def test_later_commands_on_an_order_have_their_own_actor(
    customer: Customer, product: StockItem
) -> None:
    order = kit.placed_order(customer, (product, 1))
    kit.dispatch(kit.cancel(order))

    assert log.read_stream(order.stream)[-1].recorded.actor == Actor.user(UUID(int=1))
