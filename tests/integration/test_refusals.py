"""Refused commands are kept for auditors: who tried what, when, and why, without personal data."""

from datetime import timedelta
from io import StringIO
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import localtime
from rest_framework.test import APIClient

from config.accounts.roles import Role
from ordering_write import client as commands
from ordering_write.bus import get_command_bus, refusals
from ordering_write.bus.permissions import envelope
from ordering_write.domain import commands as c
from ordering_write.domain.errors import (
    DomainError,
    DuplicateEmailError,
    InvalidTransitionError,
    NotPermittedError,
)
from ordering_write.domain.values import Actor
from ordering_write.management.commands.scan_personal_data import find_texts
from ordering_write.models import CommandRefusal, OutboxEvent
from tests import kit
from tests.kit_admin import Shop, logged_in, page_text, run_projections

pytestmark = pytest.mark.usefixtures("db")

REFUSALS = "/admin/ordering_write/commandrefusal/"


def refused(command: c.Command, error: type[Exception] = DomainError) -> None:
    with pytest.raises(error):
        get_command_bus().dispatch(command)


def too_early(order: Any, user: Any = None, **fields: Any) -> c.ConfirmDelivery:
    """Return a command about a parcel that the order doesn't have."""
    by = envelope(user, channel="admin") if user else {"user_id": kit.USER}
    return c.ConfirmDelivery(order_id=order.pk, shipment_id=kit.USER, **by, **fields)


def test_a_refusal_is_kept_with_its_person_time_and_reason(clerk, make_user, customer):
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    kit.dispatch(kit.cancel(order))
    command = c.ConfirmOrder(order_id=order.pk, **envelope(clerk, channel="admin"))
    events = OutboxEvent.objects.count()

    refused(command, InvalidTransitionError)

    [refusal] = CommandRefusal.objects.all()
    assert (refusal.type, refusal.reason) == ("ConfirmOrder", "InvalidTransitionError")
    assert refusal.stream == f"order-{order.pk}"
    assert (refusal.user_id, refusal.channel) == (clerk.pk, "admin")
    assert refusal.actor == {"type": "user", "id": str(clerk.pk), "label": "clerk"}
    assert (refusal.command_id, refusal.correlation_id) == (command.command_id,) * 2
    assert "cancelled" in refusal.message
    assert OutboxEvent.objects.count() == events

    # A command without the permission, in our client and by the API.
    warehouse = make_user(Role.WAREHOUSE)
    blocked = c.BlockCustomer(
        customer_id=customer.pk, reason="Late", **envelope(warehouse, channel="admin")
    )
    with pytest.raises(NotPermittedError):
        commands.dispatch(blocked, user=warehouse)
    api = APIClient()
    api.force_authenticate(make_user(Role.AUDITOR))
    assert api.post(f"/api/v1/orders/{order.pk}/confirm").status_code == 403
    assert api.post(f"/api/v1/orders/{order.pk}/confirm?dry_run=true").status_code == 403
    assert api.post("/api/v1/orders/none/confirm").status_code == 403
    kept = CommandRefusal.objects.order_by("id").values_list("reason", "stream", "command_id")
    assert list(kept)[1:] == [
        ("NotPermittedError", f"customer-{customer.pk}", blocked.command_id),
        ("PermissionMissingError", f"order-{order.pk}", None),
        ("PermissionMissingError", "", None),
    ]


def test_dry_runs_and_policies_are_no_attempts(customer):
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    with pytest.raises(DomainError):
        get_command_bus().preview(too_early(order))
    refused(too_early(order, actor=Actor(type="policy", id="expire")))
    assert not CommandRefusal.objects.exists()


def test_a_refusal_never_fails_or_grows_without_limit(customer, caplog, monkeypatch):
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    with patch.object(refusals, "_INSERT", "INSERT INTO gone VALUES (%s)"):
        refused(too_early(order))
    assert "A refusal isn't kept" in caplog.text
    with patch.object(refusals.transaction, "atomic", side_effect=DatabaseError("full")):
        refusals.keep(refusals.Attempt.of(too_early(order)), DomainError())
    assert not CommandRefusal.objects.exists()

    monkeypatch.setattr(refusals, "PER_MINUTE", 2)
    monkeypatch.setattr(refusals, "PER_DAY", 3)

    def kept_after_three_more() -> int:
        with CaptureQueriesContext(connection) as queries:
            for _ in range(3):
                refusals.keep(refusals.Attempt.of(too_early(order)), DomainError())
        assert len([q for q in queries if "INSERT" in q["sql"]]) == 3
        return CommandRefusal.objects.count()

    assert kept_after_three_more() == 2
    CommandRefusal.objects.update(recorded_at=Now() - timedelta(minutes=2))
    assert kept_after_three_more() == 3
    # The refusals of somebody else have a limit of their own.
    other = too_early(order).model_copy(update={"user_id": order.pk})
    refusals.keep(refusals.Attempt.of(other), DomainError())
    assert CommandRefusal.objects.count() == 4


def test_old_refusals_are_pruned(customer, settings):
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    refused(too_early(order))
    for days, kept in ((89, 1), (91, 0)):
        CommandRefusal.objects.update(recorded_at=Now() - timedelta(days=days))
        output = StringIO()
        call_command("prune_commands", "--batch", "1", stdout=output)
        assert CommandRefusal.objects.count() == kept
    assert "refusals: 1" in output.getvalue()


def test_refusals_hold_no_personal_data_and_are_erased_with_their_customer(customer):
    name, email = "Zoe Canary", "canary@example.com"
    kit.registered_customer(name=name, email=email)
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    kit.dispatch(kit.cancel(order))
    by = {"user_id": kit.USER}
    address = {"name": name, "line1": name, "city": name, "country": "ES", "phone": name}
    refused(c.RegisterCustomer(name=name, email=email, **by), DuplicateEmailError)
    for command in (
        c.ChangeCustomerDetails(customer_id=customer.pk, name=name, email=email, **by),
        c.AssignOrder(order_id=order.pk, assignee=name, **by),
        c.ChangeShippingAddress(order_id=order.pk, shipping_address=address, **by),
        c.PlaceHold(order_id=order.pk, reason="other", note=name, **by),
        c.CancelOrder(order_id=order.pk, reason=name, expected_version=1, **by),
        c.SetOrderMetadata(order_id=order.pk, metadata={"n": name}, expected_version=1, **by),
    ):
        refused(command)
    assert CommandRefusal.objects.count() == 7
    assert "command_refusal" not in {match.table for match in find_texts([name, email])}

    kit.dispatch(c.EraseCustomer(customer_id=customer.pk, reason="Asked for it", **by))

    # The refused registration names nobody, and belongs to no customer.
    assert [refusal.type for refusal in CommandRefusal.objects.all()] == ["RegisterCustomer"]


def test_auditors_find_refusals_by_person_order_kind_and_time(
    admin_user, clerk, make_user, django_assert_max_num_queries
):
    shop = Shop()
    run_projections()
    other = shop.place()
    refused(too_early(shop.order, clerk))
    refused(c.ReleaseHold(order_id=other.pk, user_id=kit.USER, actor=Actor(type="cli", id="<b>")))
    auditor = logged_in(make_user(Role.AUDITOR, is_staff=True))
    number = shop.order.order_number

    auditor.get(REFUSALS)
    with django_assert_max_num_queries(10):
        text = page_text(auditor, REFUSALS)
    assert "Confirm delivery" in text
    assert "cli &lt;b&gt;" in text
    assert number in text
    day = f"{localtime(CommandRefusal.objects.latest('recorded_at').recorded_at):%Y-%m-%d}"
    for query, count in (
        (f"?q={number}", 1),
        (f"?q={CommandRefusal.objects.latest('id').command_id}", 1),
        ("?person=CLERK", 1),
        (f"?user={clerk.pk}", 1),
        (f"?user={shop.order.pk}", 0),
        ("?command=ReleaseHold", 1),
        ("?reason=NotOnHoldError&command=ConfirmDelivery", 0),
        ("?channel=admin", 1),
        (f"?since=2020-01-01&until={day}", 2),
        ("?until=2020-01-01", 0),
        ("?since=soon", 0),
    ):
        page = auditor.get(REFUSALS + query)
        assert page.context["cl"].result_count == count, query
    assert "Enter a valid date." in page.text
    assert "Person: <bdi" in auditor.get(f"{REFUSALS}?user={clerk.pk}").text
    short = auditor.get(f"{REFUSALS}?command=&q=&person=clerk")
    assert short["Location"] == f"{REFUSALS}?person=clerk"
    assert auditor.get(f"{REFUSALS}?unknown=1").status_code == 400

    row = CommandRefusal.objects.earliest("id")
    assert number in page_text(auditor, f"{REFUSALS}{row.pk}/change/")
    assert logged_in(clerk).get(REFUSALS).status_code == 403

    # The page of an order counts its refusals, for those who may see them.
    order_page = f"/admin/ordering_read/ordersummary/{shop.order.pk}/change/"
    assert "1 refused attempt " in page_text(auditor, order_page)
    assert f'href="{REFUSALS}?q={number}"' in auditor.get(order_page).text
    clerk.is_staff = True
    clerk.save()
    assert "refused attempt" not in page_text(logged_in(clerk), order_page)
