"""The pages that are written from the code say what the code says."""

from django.core.management import call_command

from config.reference import lifecycle
from ordering_write.domain.events import OrderStatus


def test_the_pages_are_up_to_date():
    call_command("write_docs", "--check")


def test_the_lifecycle_is_what_the_domain_says():
    steps = lifecycle.explore()

    assert steps[OrderStatus.PENDING]["ConfirmOrder"] == {OrderStatus.CONFIRMED}
    assert steps[OrderStatus.PROCESSING]["DispatchShipment"] == {
        OrderStatus.PARTIALLY_SHIPPED,
        OrderStatus.SHIPPED,
    }
    assert "CancelOrder" not in steps[OrderStatus.SHIPPED]
    for end in (OrderStatus.COMPLETED, OrderStatus.CANCELLED):
        assert all(after == {end} for after in steps[end].values())
