"""Gaps: each reader of a projection says which events its rows lack, and why."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from config.accounts.roles import Role
from config.http.input import consistency
from ordering_read.engine import live
from ordering_read.engine.gaps import GapReason
from ordering_read.models import Projection
from ordering_read.projector import labels, projector, registered
from ordering_write import log
from ordering_write.domain.commands import AddNote, ChangeCustomerDetails, ReceiveStock
from ordering_write.domain.events import DomainEvent
from tests import kit
from tests.integration.test_http_freshness import PATHS, projections_of
from tests.integration.test_parking import Poison
from tests.integration.test_read_api import ROOT, client_of
from tests.kit_projections import blocking, parked_events, retry
from tests.proof import IS_PROOF

pytestmark = pytest.mark.usefixtures("db")

# The lists whose rows show the streams of a projection.
MARKED_LISTS = {
    "order_view": ["/orders", "/customers/{customer}/orders"],
    "customer_view": ["/customers"],
    "inventory_level": ["/inventory", "/fulfilment-queue"],
    "order_timeline": ["/orders/{order}/timeline"],
    "stock_ledger": ["/inventory/{product}/movements"],
    "fulfilment_queue": ["/fulfilment-queue"],
}
# The addresses of the resources whose rows belong to one stream.
SINGLE = (
    "/orders/{order}",
    "/orders/by-number/{number}",
    "/customers/{customer}",
    "/inventory/{product}",
)

# The projections that only SQL or the admin shows.
WITHOUT_ADDRESS: list[str] = [
    # None is.
]

# The projections that say only whether the resource of an address exists.
EXISTENCE = {
    "/orders/{order}/timeline": "order_view",
    "/inventory/{product}/movements": "inventory_level",
}


# Projections of each kind that are late; the others are in `make proof`.
LATE = ("order_view", "inventory_level", "customer_stats", "sales_by_day")


def read_by(path: str) -> set[str]:
    """Return the projections whose rows the address shows."""
    return set(projections_of(ROOT + path)) - {EXISTENCE.get(path)}


def readers() -> list[str]:
    """Return the addresses that read a projection."""
    return [path for path in PATHS if read_by(path)]


def readers_of(name: str) -> list[str]:
    """Return the addresses that read the projection ``name``."""
    return [path for path in PATHS if name in read_by(path)]


class Shop:
    """A customer, a product and an order, each with several events."""

    def __init__(self) -> None:
        self.customer = kit.registered_customer(name="Robin Sample")
        self.product = kit.registered_product(on_hand=10, name="Sample")
        self.order = kit.placed_order(self.customer, (self.product, 2), tags=["gift"])
        self.change()

    def change(self) -> None:
        """Append an event that each projection wants, or none that changes its rows."""
        ids = {"user_id": kit.USER, "timestamp": kit.NOW}
        phone = str(len(log.read_stream(self.customer.stream)))
        kit.dispatch(ChangeCustomerDetails(customer_id=self.customer.pk, phone=phone, **ids))
        kit.dispatch(ReceiveStock(product_id=self.product.pk, quantity=1, **ids))
        kit.dispatch(AddNote(order_id=self.order.pk, text="Ring twice", **ids))
        kit.dispatch(kit.create_order(self.customer, (self.product, 1)))

    def address(self, path: str) -> str:
        return ROOT + path.format(
            order=self.order.pk,
            number=self.order.order_number,
            customer=self.customer.pk,
            product=self.product.pk,
        )

    def wanted_event(self, name: str) -> DomainEvent:
        """Return the last event of the shop's streams that the projection ``name`` wants."""
        for aggregate in (self.order, self.customer, self.product):
            events = log.read_stream(aggregate.stream)
            wanted = [event for event in events if isinstance(event, projector(name).events)]
            if wanted:
                return wanted[-1]
        raise AssertionError(f"{name} wants no event.")


def catch_up(*, without: str = "") -> None:
    live.run(*(name for name in registered() if name != without))


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


@pytest.fixture(scope="module")
def shop(module_db: None) -> Shop:
    return Shop()


def park(name: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the projection ``name`` park an event of a stream of the shop."""
    poison = Poison(type(projector(name)), monkeypatch)
    poison.events.add(shop.wanted_event(name).recorded.event_id)
    catch_up()


def stop(name: str, shop: Shop) -> None:
    """Let the projection ``name`` stop before the newest changes of the shop."""
    catch_up()
    shop.change()
    catch_up(without=name)
    failed = {"error": "ValueError: no such colour", "failed_at": timezone.now()}
    Projection.objects.filter(name=name).update(**failed)


def check_readers(
    admin: APIClient,
    shop: Shop,
    name: str,
    reason: GapReason,
    subtests: pytest.Subtests,
    *,
    paths: Sequence[str],
) -> None:
    for path in paths:
        with subtests.test("reader", path=path):
            answer = admin.get(shop.address(path))

            assert answer.status_code == 200
            body = answer.json()
            if name not in read_by(path):
                assert not answer.has_header("Projection-Gap")
                assert body["projection_gap"] is None
                continue
            assert answer["Projection-Gap"] == reason
            assert body["projection_gap"]["reason"] == reason
            assert body["projection_gap"]["projections"] == [name]
            assert labels([name]) in body["projection_gap"]["detail"]
            if path in SINGLE:
                assert body["projection_gap"]["events"] >= 1
                assert body["projection_gap"]["since"] is not None
            if path in MARKED_LISTS.get(name, []):
                check_rows(body, reason)


def check_rows(body: Any, reason: GapReason) -> None:
    gaps = [row["projection_gap"] for row in body["results"]]
    marked = [gap for gap in gaps if gap]
    assert body["projection_gaps"] == len(marked) > 0
    assert {gap["reason"] for gap in marked} == {reason}


# --- Each projection ---------------------------------------------------------------------------
def test_each_projection_has_a_reader() -> None:
    names = {name for path in readers() for name in read_by(path)}

    assert names == set(registered()) - set(WITHOUT_ADDRESS)


@pytest.mark.proof
@pytest.mark.parametrize("name", registered())
def test_each_reader_says_that_an_event_is_parked(
    name: str,
    admin: APIClient,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    # The others say nothing, whichever projection it is.
    paths = readers() if IS_PROOF or name == "order_view" else readers_of(name)
    with monkeypatch.context() as patch:
        park(name, shop, patch)

        check_readers(admin, shop, name, GapReason.PARKED, subtests, paths=paths)

    retry(parked_events())
    for path in readers_of(name):
        with subtests.test("whole again", path=path):
            answer = admin.get(shop.address(path))
            assert not answer.has_header("Projection-Gap")
            assert answer.json()["projection_gap"] is None


@pytest.mark.parametrize("name", registered())
def test_each_reader_says_that_a_projection_has_stopped(
    name: str, admin: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    stop(name, shop)

    check_readers(admin, shop, name, GapReason.STOPPED, subtests, paths=readers_of(name))


@pytest.mark.proof
@pytest.mark.parametrize("name", registered() if IS_PROOF else LATE)
def test_each_reader_says_that_a_projection_is_late(
    name: str, admin: APIClient, shop: Shop, settings: Any, subtests: pytest.Subtests
) -> None:
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    catch_up()
    shop.change()
    catch_up(without=name)

    check_readers(admin, shop, name, GapReason.LATE, subtests, paths=readers_of(name))


def test_a_usual_lag_is_no_gap(admin: APIClient, shop: Shop) -> None:
    catch_up()
    shop.change()

    answer = admin.get(shop.address("/orders/{order}"))

    assert float(answer["Projection-Lag"]) > 0
    assert not answer.has_header("Projection-Gap")
    assert answer.json()["projection_gap"] is None


# --- Rows --------------------------------------------------------------------------------------
def test_only_the_row_of_the_parked_stream_is_marked(
    admin: APIClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    park("order_view", shop, monkeypatch)
    kit.dispatch(AddNote(order_id=shop.order.pk, text="Waits", user_id=kit.USER, timestamp=kit.NOW))
    catch_up()

    orders = admin.get(f"{ROOT}/orders").json()

    gaps = {row["id"]: row["projection_gap"] for row in orders["results"]}
    parked = gaps.pop(str(shop.order.pk))
    assert parked["events"] == 2
    assert parked["detail"] == (
        "2 changes of today aren't shown yet: an error holds up changes of orders."
    )
    assert set(gaps.values()) == {None}
    assert orders["projection_gaps"] == 1


def test_a_stopped_projection_marks_no_row_that_lacks_no_event(
    admin: APIClient, shop: Shop
) -> None:
    other = kit.placed_order(shop.customer, (shop.product, 1))
    stop("order_view", shop)

    whole = admin.get(f"{ROOT}/orders/{other.pk}")

    assert not whole.has_header("Projection-Gap")
    assert whole.json()["projection_gap"] is None


def test_gaps_take_a_statement_in_each_database_however_many_they_are(
    admin: APIClient, shop: Shop
) -> None:
    catch_up()

    def statements() -> int:
        with (
            CaptureQueriesContext(connections["read"]) as read,
            CaptureQueriesContext(connections["default"]) as write,
        ):
            assert admin.get(f"{ROOT}/orders").status_code == 200
        return len(read) + len(write)

    statements()
    whole = statements()
    stop("order_view", shop)
    one_gap = statements()
    for _ in range(3):
        shop.change()

    assert one_gap == whole + 1
    Projection.objects.filter(name="order_view").update(parked_streams=1)
    assert statements() == whole + 2


def test_a_long_gap_has_no_number_of_events(
    admin: APIClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordering_read.engine.gaps._COUNTED", 2)
    stop("order_view", shop)
    shop.change()
    shop.change()

    gap = admin.get(shop.address("/orders/{order}")).json()["projection_gap"]

    assert (gap["reason"], gap["events"]) == ("stopped", None)
    assert gap["detail"].startswith("Changes of today aren't shown yet")


def test_a_resource_whose_first_event_is_parked_is_behind_and_not_missing(
    admin: APIClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = log.read_stream(shop.order.stream)[0].recorded
    Poison(type(projector("order_view")), monkeypatch).events.add(created.event_id)
    catch_up()

    answer = admin.get(shop.address("/orders/{order}"))
    unknown = admin.get(f"{ROOT}/orders/{kit.uuid7()}")
    customer = client_of(Role.CUSTOMER, customer_id=kit.registered_customer().pk)
    hidden = customer.get(shop.address("/orders/{order}"))

    assert (answer.status_code, answer.json()["code"]) == (503, "projection_behind")
    assert answer.json()["projection_gap"]["reason"] == "parked"
    assert unknown.status_code == hidden.status_code == 404


def test_an_answer_from_the_log_has_no_gap(
    admin: APIClient, shop: Shop, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    park("order_view", shop, monkeypatch)
    for query in ("?consistency=strong", "?version=2", "/actions", "/events", "/diff"):
        with subtests.test(query):
            answer = admin.get(shop.address("/orders/{order}") + query)

            assert answer.status_code == 200
            assert not answer.has_header("Projection-Gap")


# --- Caches and files --------------------------------------------------------------------------
def test_a_gap_is_not_hidden_by_a_304(
    admin: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    catch_up()
    paths = ("/orders", "/orders/{order}", "/reports/sales-by-day")
    tags = {path: admin.get(shop.address(path))["ETag"] for path in paths}
    Projection.objects.filter(name__in=("order_view", "sales_by_day")).update(error="ValueError")
    shop.change()
    for path, tag in tags.items():
        with subtests.test(path):
            answer = admin.get(shop.address(path), headers={"if-none-match": tag})

            assert answer.status_code == 200
            assert answer["Projection-Gap"] == "stopped"
            assert "max-age" not in answer["Cache-Control"]


def test_each_line_of_a_csv_file_has_the_reason(admin: APIClient, shop: Shop) -> None:
    catch_up()
    whole = admin.get(f"{ROOT}/reports/sales-by-day?format=csv").text.splitlines()
    Projection.objects.filter(name="sales_by_day").update(error="ValueError")

    stopped = admin.get(f"{ROOT}/reports/sales-by-day?format=csv")

    assert whole[0].endswith(",projection_gap")
    assert whole[1].endswith(",")
    assert stopped.text.splitlines()[1].endswith(",stopped")
    assert stopped["Projection-Gap"] == "stopped"


# --- Waiting -----------------------------------------------------------------------------------
def read_after_command(admin: APIClient, shop: Shop, events: Sequence[Any], prefer: str) -> Any:
    token = consistency.token_of(events[-1].recorded.event_id)
    headers = {consistency.HEADER: token} | ({"Prefer": prefer} if prefer else {})
    return admin.get(shop.address("/orders/{order}"), headers=headers)


def test_a_read_that_waits_for_a_parked_event_says_so(
    admin: APIClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    park("order_view", shop, monkeypatch)
    events = kit.dispatch(kit.cancel(shop.order))
    catch_up()

    waited = read_after_command(admin, shop, events, "wait=10")
    told = read_after_command(admin, shop, events, "")

    problem = waited.json()
    assert (waited.status_code, problem["code"]) == (503, "projection_behind")
    assert problem["projection_gap"]["reason"] == "parked"
    assert problem["detail"] == (
        "The change was accepted. Changes aren't shown yet: an error holds up changes of orders."
    )
    assert not waited.has_header("Preference-Applied")
    assert (told.status_code, told["Projection-Behind"]) == (200, "true")


def test_a_read_that_waits_for_a_stopped_projection_answers_at_once(
    admin: APIClient, shop: Shop
) -> None:
    stop("order_view", shop)
    events = kit.dispatch(kit.cancel(shop.order))

    waited = read_after_command(admin, shop, events, "wait=10")

    assert waited.status_code == 503
    assert waited.json()["projection_gap"]["reason"] == "stopped"


def test_a_parked_event_of_another_stream_ends_no_wait(
    admin: APIClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = kit.placed_order(shop.customer, (shop.product, 1))
    park("order_view", shop, monkeypatch)
    events = kit.dispatch(kit.cancel(other))
    catch_up()
    assert blocking().exists()

    waited = read_after_command(admin, shop, events, "wait=10")

    assert (waited.status_code, waited["Preference-Applied"]) == (200, "wait")
