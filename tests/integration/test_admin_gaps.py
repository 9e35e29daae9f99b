"""Gaps on screens: pages and rows that lack events say so, and no click says "done" for them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.accounts.models import User
from ordering_read.engine import waiting
from ordering_read.models import OrderSummary, Projection
from ordering_read.projections.order_timeline import OrderTimelineProjection
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projector import labels, projector, registered
from ordering_write import client as write_client
from ordering_write import log
from ordering_write.domain.commands import AddNote
from tests import kit
from tests.integration.test_admin_commands import hidden_fields, send
from tests.integration.test_parking import Poison
from tests.integration.test_projection_gaps import Shop, catch_up, park, stop
from tests.kit_admin import ORDERS, list_url, logged_in, messages_of, row_url

pytestmark = pytest.mark.usefixtures("db")

# The lists of each projection: the last part of the address.
LISTS = {
    "order_view": "ordersummary",
    "customer_view": "customersummary",
    "inventory_level": "inventorylevel",
    "order_timeline": "timelineentry",
    "customer_stats": "customerstats",
    "sales_by_day": "salesbyday",
    "sales_by_product": "salesbyproduct",
    "tax_by_day": "taxbyday",
    "status_counter": "statuscounter",
    "stock_ledger": "stockmovement",
    "fulfilment_queue": "queuedorder",
}
# The pages of one record, by projection.
PAGES = {
    "order_view": ("ordersummary", "order"),
    "order_timeline": ("ordersummary", "order"),
    "customer_view": ("customersummary", "customer"),
    "inventory_level": ("inventorylevel", "product"),
    "fulfilment_queue": ("queuedorder", "order"),
}


def parked(name: str) -> str:
    """Return the words of a page for a parked event of the projection ``name``."""
    return f"an error holds up changes of {labels([name])}"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def client(admin_user: User) -> Client:
    """A browser in which an administrator is logged in."""
    return logged_in(admin_user)


_ALERT = re.compile(r'<p class="stale" role="alert">(.*?)</p>')


def alerts(page: Any) -> list[str]:
    """Return the warnings above a page."""
    assert page.status_code == 200
    return _ALERT.findall(page.text)


def with_one_banner(page: Any) -> Any:
    """Return ``page``, which has one banner at most."""
    assert len(_ALERT.findall(page.text)) <= 1
    return page


def list_page(client: Client, name: str) -> Any:
    return with_one_banner(client.get(f"/admin/ordering_read/{name}/"))


def record_page(client: Client, shop: Shop, name: str) -> Any:
    page, record = PAGES[name]
    address = row_url(f"ordering_read/{page}", getattr(shop, record).pk)
    return with_one_banner(client.get(address))


# --- Lists and pages ---------------------------------------------------------------------------
def test_each_projection_but_the_search_has_a_list() -> None:
    assert set(registered()) - set(LISTS) == {"search"}


def failure() -> dict[str, Any]:
    """Return the columns of a projection that has stopped now."""
    return {"error": "ValueError: no such colour", "failed_at": timezone.now()}


@contextmanager
def undone() -> Iterator[pytest.MonkeyPatch]:
    """Undo the changes of the block: those of both databases, and those by its monkeypatch."""
    with (
        pytest.MonkeyPatch.context() as patch,
        transaction.atomic("default"),
        transaction.atomic("read"),
    ):
        # Pages keep their warnings for some seconds.
        cache.clear()
        yield patch
        transaction.set_rollback(True, "default")
        transaction.set_rollback(True, "read")


def test_a_list_its_rows_and_their_pages_say_that_an_event_is_parked(
    client: Client, shop: Shop, subtests: pytest.Subtests
) -> None:
    for name in LISTS:
        with subtests.test(name), undone() as patch:
            park(name, shop, patch)

            page = list_page(client, LISTS[name])

            assert any(parked(name) in alert for alert in alerts(page))
            is_of_streams = projector(name).sliced_by == "stream"
            assert ("of today</span>" in page.text) == is_of_streams
            if name in PAGES:
                sentence = f"1 change of today isn&#x27;t shown yet: {parked(name)}."
                page = record_page(client, shop, name)
                assert sentence in alerts(page)
                if PAGES[name][0] == "ordersummary":
                    assert "newer changes aren’t shown yet" in page.text


def test_a_list_and_its_rows_say_that_a_projection_has_stopped(
    client: Client, shop: Shop, subtests: pytest.Subtests
) -> None:
    catch_up()
    shop.change()
    for name in LISTS:
        with subtests.test(name), undone():
            catch_up(without=name)
            Projection.objects.filter(name=name).update(**failure())

            page = list_page(client, LISTS[name])

            sentence = f"{labels([name])} aren&#x27;t updated any more"
            assert any(sentence in alert for alert in alerts(page))
            is_of_streams = projector(name).sliced_by == "stream"
            assert ("of today</span>" in page.text) == is_of_streams


def test_the_page_of_a_record_says_that_a_projection_is_late(
    client: Client, shop: Shop, settings: Any, subtests: pytest.Subtests
) -> None:
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    catch_up()
    shop.change()
    for name in PAGES:
        with subtests.test(name), undone():
            catch_up(without=name)

            page = record_page(client, shop, name)

            assert any(f"{labels([name])} are updated late" in alert for alert in alerts(page))


def test_a_list_without_rows_says_that_rows_may_be_missing(client: Client, shop: Shop) -> None:
    Projection.objects.filter(name="order_view").update(**failure())

    page = list_page(client, "ordersummary")

    assert any("orders aren&#x27;t updated any more" in alert for alert in alerts(page))


def test_a_search_says_that_the_search_lacks_events(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    park("search", shop, monkeypatch)
    for name in ("ordersummary", "customersummary", "inventorylevel", "customerstats"):
        with subtests.test(name):
            page = client.get(f"/admin/ordering_read/{name}/?q=nothing")

            assert any(parked("search") in alert for alert in alerts(page))


def test_whole_pages_have_no_mark(client: Client, shop: Shop) -> None:
    catch_up()

    pages = [list_page(client, name) for name in LISTS.values()]
    pages += [record_page(client, shop, name) for name in PAGES]

    assert [alert for page in pages for alert in alerts(page)] == []
    assert not any("Not shown yet" in page.text for page in pages)


def test_a_mark_takes_no_statement_while_all_is_whole(client: Client, shop: Shop) -> None:
    catch_up()
    list_page(client, "ordersummary")

    with CaptureQueriesContext(connections["read"]) as read:
        list_page(client, "ordersummary")

    assert not any(query["sql"].startswith('SELECT "projection"') for query in read)
    assert not any("parked_event" in query["sql"] for query in read)


def test_printed_lists_name_the_orders_that_lack_events(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    park("fulfilment_queue", shop, monkeypatch)
    pages = [
        client.get(f"/admin/packing/{page}/?orders={shop.order.order_number}").text
        for page in ("pick-list", "slips")
    ]

    assert f"{shop.order.order_number}: 1 change of today isn&#x27;t shown yet" in pages[0]
    assert [page.count("isn&#x27;t shown yet") for page in pages] == [1, 1]


def test_a_queue_whose_stock_lacks_events_says_so(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    park("inventory_level", shop, monkeypatch)

    page = list_page(client, "queuedorder")

    assert any(parked("inventory_level") in alert for alert in alerts(page))
    assert "of today</span>" in page.text


def test_a_packing_slip_says_that_its_address_may_be_old(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    park("order_view", shop, monkeypatch)
    slips = client.get(f"/admin/packing/slips/?orders={shop.order.order_number}")

    assert slips.text.count(f"isn&#x27;t shown yet: {parked('order_view')}") == 1


def test_a_page_says_that_the_history_lacks_all_its_events(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    Poison(OrderTimelineProjection, monkeypatch).add(shop.order, version=1)
    catch_up()

    page = record_page(client, shop, "order_timeline")

    assert any(parked("order_timeline") in alert for alert in alerts(page))


def test_a_record_without_a_row_is_not_shown_yet_instead_of_deleted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    Poison(OrderProjection, monkeypatch).add(shop.order, version=1)
    catch_up()

    response = record_page(client, shop, "order_view")

    [message] = messages_of(response)
    assert message.startswith(f"warning: {shop.order.pk}: ")
    assert message.endswith("aren't shown yet: an error holds up changes of orders.")


def test_a_record_that_never_was_is_reported_as_unknown(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    park("order_view", shop, monkeypatch)
    for key in (str(kit.USER), "nothing"):
        *_, message = messages_of(client.get(row_url(ORDERS, key)))
        assert "doesn’t exist" in message


# --- After a command ---------------------------------------------------------------------------
def note(shop: Shop) -> AddNote:
    return AddNote(order_id=shop.order.pk, text="Rings", user_id=kit.USER, timestamp=kit.NOW)


def test_a_click_on_a_parked_order_says_accepted_and_not_done(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    park("order_view", shop, monkeypatch)
    url = f"/admin/{ORDERS}/{shop.order.pk}/commands/tag_order/"
    form = client.get(url)
    preview = send(client, url, {**hidden_fields(form), "tag": "fragile"})
    assert "noted: Ring twice" in preview.text, "the event that the page lacks"
    monkeypatch.setattr("ordering_read.admin.commands._WAIT_SECONDS", 60.0)
    _dispatch_then_project(monkeypatch)

    response = client.post(url, {**hidden_fields(preview), "confirm": "1"})

    assert messages_of(response) == [
        "warning: Tag order: accepted, not shown yet, because an error holds up changes of orders."
    ]
    [banner] = alerts(record_page(client, shop, "order_view"))
    assert banner.startswith("Your last change was accepted, but this page doesn&#x27;t show it")
    assert "2 changes of today aren&#x27;t shown yet" in banner


def test_a_bulk_action_says_accepted_for_each_parked_order(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    park("order_view", shop, monkeypatch)
    _dispatch_then_project(monkeypatch)
    row = OrderSummary.live.get(order_id=shop.order.pk)
    fields = {"tag": "fragile", "check": "1", "job_id": str(kit.USER)}
    data = {"action": "tag_order", "_selected_action": [str(row.pk)], **fields}
    url = client.post(list_url(ORDERS), data)["Location"]

    client.post(url, {"confirm": "1"})

    page = client.get(url)
    assert "1 of 1 order done" in page.text
    sentence = f"{shop.order.order_number}: accepted, but"
    assert any(sentence in alert and "shown yet" in alert for alert in alerts(page))


def _dispatch_then_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workers catch up before each wait, as they do while a request waits."""
    wait = waiting.wait

    def catch_up_and_wait(**arguments: Any) -> waiting.Visibility:
        catch_up()
        return wait(**arguments)

    monkeypatch.setattr(waiting, "wait", catch_up_and_wait)


def test_dispatch_does_not_wait_for_a_stopped_projection(admin_user: User, shop: Shop) -> None:
    stop("order_view", shop)

    with pytest.raises(write_client.NotYetVisibleError) as caught:
        write_client.dispatch(
            note(shop).model_copy(update=write_client.envelope(admin_user, channel="python")),
            user=admin_user,
            wait_for=["order_view"],
            timeout=600,
        )

    assert str(caught.value) == ("Accepted, not shown yet, because orders aren't updated any more.")
    assert [event.type for event in caught.value.result] == ["NoteAdded"]


def test_the_command_line_waits_and_says_accepted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    park("order_view", shop, monkeypatch)
    _dispatch_then_project(monkeypatch)
    out = StringIO()

    options = ["--order-id", str(shop.order.pk), "--tag", "fragile", "--wait", "60"]
    call_command("command", "TagOrder", *options, stdout=out)

    assert out.getvalue().splitlines()[-1] == (
        "Accepted, not shown yet, because an error holds up changes of orders."
    )


def test_a_browsable_page_says_why_it_does_not_show_a_command(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    park("order_view", shop, monkeypatch)
    _dispatch_then_project(monkeypatch)

    page = client.post(
        f"/api/v1/orders/{shop.order.pk}/notes",
        urlencode({"_content": '{"text": "Rings"}'}),
        content_type="application/x-www-form-urlencoded",
        headers={"accept": "text/html"},
    )

    assert page["Projection-Behind"] == "true"
    assert "but this page doesn't show it yet, because" in page.text
    assert parked("order_view") in page.text


def test_a_parked_event_of_the_commit_counts_for_its_last_event(
    shop: Shop, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up()
    poison = Poison(OrderProjection, monkeypatch)
    events = kit.dispatch(kit.cancel(shop.order))
    poison.events.add(events[0].recorded.event_id)
    catch_up()
    assert events[-1].recorded.stream == shop.product.stream
    assert log.position_of(events[-1].recorded.event_id) is not None

    visibility = waiting.wait(
        event_id=events[-1].recorded.event_id, projections=["order_view"], timeout=600
    )

    assert not visibility
    assert visibility.gap is not None
    assert visibility.gap.reason == "parked"
