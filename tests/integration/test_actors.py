"""Who has done something, as the log and the records of commands remember it."""

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


def test_who_orders_for_a_customer_does_so_on_their_behalf(
    clerk: User, customer: Customer, product: StockItem
):
    asked = envelope(clerk, channel="api")
    order = kit.placed_order(customer, (product, 1), **asked)

    [*placed] = log.read_stream(order.stream)
    expected = Actor.user(clerk.pk, "clerk").model_copy(update={"on_behalf_of": str(customer.pk)})
    assert {one.recorded.actor for one in placed} == {expected}
    record = CommandRecord.objects.get(pk=placed[0].recorded.command_id)
    assert actor_label(record.actor) == f"clerk on behalf of customer {customer.pk}"


def test_a_customer_orders_for_themselves(
    customer_user: User, customer: Customer, product: StockItem
):
    order = kit.placed_order(customer, (product, 1), **envelope(customer_user, channel="api"))

    stored = OutboxEvent.objects.filter(stream=order.stream).first()
    assert stored is not None
    assert stored.actor == {"type": "user", "id": str(customer_user.pk), "label": "customer"}


def test_what_is_done_to_an_order_is_done_by_who_does_it(customer: Customer, product: StockItem):
    order = kit.placed_order(customer, (product, 1))
    kit.dispatch(kit.cancel(order))

    assert log.read_stream(order.stream)[-1].recorded.actor == Actor.user(UUID(int=1))
