"""A read site rebuilds and compares its rows from the stream, without the primary."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from config.streams import Stream
from config.workers import tasks
from ordering_read.engine import fill, generations
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.verify import verify
from ordering_read.models import FillSlice, OrderSummary, Projection
from ordering_read.projector import registered, writing
from ordering_write import log, relay
from ordering_write.domain.commands import EraseCustomer
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import ERASED
from ordering_write.relay.jetstream import JetStream
from ordering_write.relay.site import StreamLog
from tests import kit
from tests.proof import IS_PROOF

pytestmark = pytest.mark.usefixtures("db")

# Rows of streams with personal fields, and rows that mix streams.
NAMES = list(registered()) if IS_PROOF else ["order_view", "sales_by_day"]


@pytest.fixture
def _shop(stream: Stream) -> None:
    """Place some orders, one of an erased customer; the site has applied all of their events."""
    product = kit.registered_product(on_hand=100)
    erased = kit.registered_customer()
    kit.dispatch(kit.cancel(kit.placed_order(erased, (product, 1))))
    kit.dispatch(EraseCustomer(user_id=kit.USER, customer_id=erased.pk, reason="Asked for it"))
    customer = kit.registered_customer("Robin Sample")
    for _ in range(2):
        kit.dispatch(kit.move(kit.placed_order(customer, (product, 2)), OrderStatus.CONFIRMED))
    relay.SUBSCRIPTION.run("nats")
    tasks.run("projections", *{*NAMES, "inventory_level"})


def wrong_rows(name: str, **options: Any) -> list[Any]:
    return [key for table in verify(name, **options).tables for key in table.keys]


@pytest.mark.usefixtures("_shop")
def test_a_site_rebuilds_and_compares_while_the_primary_is_away(
    copy_personal_data: Callable[[], None],
    request: pytest.FixtureRequest,
    subtests: pytest.Subtests,
) -> None:
    copy_personal_data()
    request.getfixturevalue("primary_is_away")
    for name in NAMES:
        with subtests.test(name):
            output = StringIO()
            call_command("rebuild_projections", name, batch=7, workers=1, stdout=output)
            assert "Not compared" not in output.getvalue()
            assert "differ" not in output.getvalue()
            assert not wrong_rows(name)
            assert not wrong_rows(name, sample=2)
            live = Projection.objects.get(name=name, status=Projection.Status.LIVE)
            assert (live.generation, live.position) == (2, StreamLog().head())
    names = set(OrderSummary.live.values_list("customer_name", flat=True))
    assert names == {ERASED, "Robin Sample"}

    with writing():
        OrderSummary.live.update(currency="XXX")
    assert len(wrong_rows("order_view", repaired_by="me")) == 3
    assert not wrong_rows("order_view")
    generations.roll_back("order_view")


@pytest.mark.usefixtures("_shop")
def test_processes_share_out_the_streams_and_a_killed_rebuild_goes_on() -> None:
    building = generations.add("order_view", Projection.Status.BUILDING)
    building.fill_source = Projection.FillSource.STREAM
    fill.begin(building, until=log.head(), slices=4, batch=5)
    assert FillSlice.objects.count() == 4
    for number in (0, 2):
        next(fill.fill_slice(building, number, batch=9))

    rebuilt = rebuild("order_view", batch=7)

    assert rebuilt.generation == building
    assert rebuilt.events == log.head()
    assert not [table.keys for table in rebuilt.compared if table.differing]
    assert not rebuilt.not_compared


@pytest.mark.usefixtures("_shop", "primary_is_away")
def test_a_missing_copy_of_personal_fields_is_named() -> None:
    """Rows without personal fields need no copy."""
    call_command("rebuild_projections", "inventory_level", stdout=StringIO())
    for command in ("rebuild_projections", "verify_projections"):
        with pytest.raises(CommandError, match="has the personal fields, can't be reached: start"):
            call_command(command, "order_view", stdout=StringIO())
    # An outage is no suspicion that an event has killed a process.
    assert FillSlice.objects.get().starts == 0


@pytest.mark.usefixtures("_shop")
def test_a_rebuild_stops_at_a_hole_in_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    read = JetStream.read

    def read_others(stream: JetStream, after: int, limit: int) -> list[bytes]:
        bodies = read(stream, after, limit)
        return bodies[1:] if after == 0 else bodies

    monkeypatch.setattr(JetStream, "read", read_others)
    for read_again in (rebuild, verify):
        with pytest.raises(log.LogGapError, match="Position 1 of the stream is missing"):
            read_again("inventory_level")
    assert Projection.objects.get(name="inventory_level", status="live").generation == 1
