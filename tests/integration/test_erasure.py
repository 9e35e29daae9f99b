"""Erasing a customer: no personal data remain anywhere, and the books stay as they were."""

import uuid
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.engine import live
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import OrderSummary, ParkedEvent, Projection
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projector import registered
from ordering_write import client, log
from ordering_write.bus import get_command_bus
from ordering_write.bus.permissions import envelope
from ordering_write.domain.commands import (
    AddNote,
    BlockCustomer,
    ChangeCustomerDetails,
    ChangeShippingAddress,
    CreateOrder,
    EraseCustomer,
    RecordPayment,
    RedactNote,
    RequestRefund,
    RequestReturn,
    UnblockCustomer,
)
from ordering_write.domain.errors import (
    CustomerErasedError,
    CustomerNotFoundError,
    HasOpenOrdersError,
    IdempotencyKeyExpiredError,
)
from ordering_write.domain.events import NoteAdded, OrderCancelled, OrderStatus
from ordering_write.log import verification
from ordering_write.management.commands.scan_personal_data import find_texts, personal_texts
from ordering_write.models import (
    CommandRecord,
    Customer,
    Order,
    OutboxEvent,
    PersonalData,
    Timer,
)
from tests import kit
from tests.kit_projections import parked_events, retry
from tests.parallel import at_once

pytestmark = pytest.mark.usefixtures("db")

# Texts that occur nowhere else. Some of them are escaped in JSON.
NAME, FORMER_NAME = 'Zoë "Quirk" Unlikely', "Zoë Neverheard"
EMAIL, FORMER_EMAIL = "quirk@unlikely.example", "zoe@neverheard.example"
PHONE, USERNAME = "555-0177-31", "quirk-unlikely"
STREET, OTHER_STREET, BILLED_STREET = "77 Quirk Lane", "78 Other Lane", "79 Billing Lane"
NOTE, REDACTED_NOTE = "Leave it with\nthe parrot", "Her sister is Ida Unlikely"
CANARIES = [
    NAME,
    FORMER_NAME,
    EMAIL,
    FORMER_EMAIL,
    PHONE,
    USERNAME,
    STREET,
    OTHER_STREET,
    BILLED_STREET,
    NOTE,
    REDACTED_NOTE,
]


def address(street):
    return {**kit.ADDRESS, "name": NAME, "line1": street, "phone": PHONE}


def command(command_type, /, **fields):
    return command_type.model_validate({"user_id": kit.USER, "timestamp": kit.NOW, **fields})


def erase(customer, **fields):
    return command(EraseCustomer, customer_id=customer.pk, reason="Asked for it", **fields)


class Case:
    """A customer with personal data in every table that can hold any."""

    def __init__(self, make_user):
        self.customer = kit.registered_customer(name=FORMER_NAME, email=FORMER_EMAIL, phone=PHONE)
        self.product = kit.registered_product(on_hand=20)
        self.user = make_user(
            Role.CUSTOMER,
            username=USERNAME,
            email=EMAIL,
            first_name="Zoë",
            last_name="Unlikely",
            customer_id=self.customer.pk,
        )
        kit.dispatch(
            command(ChangeCustomerDetails, customer_id=self.customer.pk, name=NAME, email=EMAIL)
        )
        self.cancelled = self.place_online()
        kit.dispatch(kit.cancel(self.cancelled))
        self.completed = self.complete()
        self.sign_in()

    def place_online(self):
        placing = kit.create_order(
            self.customer,
            (self.product, 1),
            shipping_address=address(STREET),
            billing_address=address(BILLED_STREET),
            note=NOTE,
            **envelope(self.user, channel="api"),
        )
        placed: Any = client.dispatch(placing, user=self.user)
        assert isinstance(placing, CreateOrder)
        self.placing = placing
        return Order.objects.get(pk=placed[0].order_id)

    def complete(self):
        order = kit.placed_order(self.customer, (self.product, 2), shipping_address=address(STREET))
        version = Order.objects.get(pk=order.pk).version
        kit.dispatch(
            command(
                ChangeShippingAddress,
                order_id=order.pk,
                shipping_address=address(OTHER_STREET),
                expected_version=version,
            )
        )
        note = kit.dispatch(command(AddNote, order_id=order.pk, text=REDACTED_NOTE))[0]
        assert isinstance(note, NoteAdded)
        kit.dispatch(command(RedactNote, order_id=order.pk, note_id=note.note_id))
        kit.dispatch(command(AddNote, order_id=order.pk, text=NOTE, visibility="customer"))
        for status in (
            OrderStatus.CONFIRMED,
            OrderStatus.SHIPPED,
            OrderStatus.DELIVERED,
            OrderStatus.COMPLETED,
        ):
            kit.dispatch(kit.move(order, status))
        return order

    def sign_in(self):
        session = SessionStore()
        session["_auth_user_id"] = str(self.user.pk)
        session["searched"] = NAME
        session.create()
        AuthToken.objects.create(self.user)
        LogEntry.objects.log_actions(
            self.user.pk, User.objects.filter(pk=self.user.pk), CHANGE, single_object=True
        )


@pytest.fixture
def case(make_user: Callable[..., User]) -> Case:
    return Case(make_user)


def catch_up():
    live.run(*registered())


def tables_with_canaries():
    return {(match.database, match.table) for match in find_texts(CANARIES)}


# --- Everywhere --------------------------------------------------------------------------------
def test_no_personal_data_remain_anywhere(committed, case):
    catch_up()
    park(case.completed)
    before = tables_with_canaries()
    assert {("default", "personal_data"), ("default", "accounts_user")} < before
    assert {("read", "order_summary"), ("read", "customer_view"), ("read", "parked_event")} < before

    [erased, *anonymized] = kit.dispatch(erase(case.customer))
    catch_up()

    assert list(find_texts(CANARIES)) == []
    assert [event.type for event in anonymized] == ["OrderAnonymized"] * 2
    assert erased.erased == {
        "personal_fields": 7,
        "orders": 2,
        "commands": 13,
        "refusals": 0,
        "accounts": 1,
        "sessions": 1,
        "tokens": 1,
        "admin_history": 1,
    }
    assert [str(finding) for finding in verification.verify(progress=lambda _: None)] == []
    kit.check_rows_equal_log()


def park(order):
    """Park an event of ``order``, with an error that quotes the name of the customer."""
    event: Any = log.read_stream(order.stream)[0].recorded
    ParkedEvent.objects.create(
        checkpoint=Projection.objects.get(name="sales_by_day"),
        event_id=event.event_id,
        stream=event.stream,
        version=event.version,
        position=event.position,
        type="OrderCreated",
        category=ParkedEvent.Category.PROJECTION_ERROR,
        message=f"KeyError: {NAME!r}",
        traceback=f"KeyError: {NAME!r}",
        skipped_at=kit.NOW,
    )


def test_a_rebuild_brings_no_personal_data_back(committed, case):
    catch_up()
    kit.dispatch(erase(case.customer))
    catch_up()
    for name in registered():
        rebuild(name)
    assert list(find_texts(CANARIES)) == []


def test_parked_events_and_their_rows_are_erased_too(case, monkeypatch):
    def fail(projection, batch, projection_id):
        if any(isinstance(event, OrderCancelled) for event in batch):
            raise KeyError(NAME)
        apply(projection, batch, projection_id)

    apply = OrderProjection.apply
    with monkeypatch.context() as patch:
        patch.setattr(OrderProjection, "apply", fail)
        catch_up()
        [parked] = ParkedEvent.objects.all()
        assert parked.message == f"KeyError: {NAME!r}"

        kit.dispatch(erase(case.customer))
        catch_up()
        parked.refresh_from_db()
        assert (parked.message, parked.traceback) == ("[erased]", "")
        # The rows keep their state from before the stream was parked, without personal data.
        assert tables_with_canaries() == set()
        assert OrderSummary.live.get(order_id=parked.stream.removeprefix("order-")).version == (
            parked.version - 1
        )

    retry(parked_events())
    assert list(find_texts(CANARIES)) == []


def test_the_error_of_a_failed_timer_is_erased(case):
    event = log.read_stream(case.completed.stream)[0].recorded
    Timer.objects.create(
        id=uuid.uuid4(),
        policy="notify",
        stream=event.stream,
        event_id=event.event_id,
        position=1,
        due_at=kit.NOW,
        error=f"OSError: no such mailbox: {EMAIL}",
    )
    kit.dispatch(erase(case.customer))
    assert Timer.objects.get(stream=event.stream).error == "[erased]"


def test_totals_and_stock_movements_stay(case):
    totals = dict(Order.objects.values_list("pk", "total"))
    stock = case.product.stream
    moves = OutboxEvent.objects.filter(stream=stock).count()
    kit.dispatch(erase(case.customer))
    assert dict(Order.objects.values_list("pk", "total")) == totals
    assert OutboxEvent.objects.filter(stream=stock).count() == moves
    customer = Customer.objects.get(pk=case.customer.pk)
    assert (customer.name, customer.email, customer.phone) == ("[erased]", "[erased]", "")


def test_other_customers_keep_their_personal_data(case):
    other = kit.registered_customer(name="Kim Other")
    order = kit.placed_order(other, (case.product, 1), note="Kim has a dog")
    texts = personal_texts(other.pk)
    kit.dispatch(erase(case.customer))
    assert personal_texts(other.pk) == texts
    placed: Any = log.read_stream(order.stream)[0]
    assert placed.customer.name == "Kim Other"


def test_the_email_of_an_erased_customer_can_be_registered_again(case):
    other = kit.registered_customer()
    kit.dispatch(erase(other))
    kit.dispatch(erase(case.customer))
    kit.registered_customer(name=NAME, email=EMAIL)


# --- The account -------------------------------------------------------------------------------
def test_the_account_is_disabled_and_its_fields_are_erased(case, client):
    client.force_login(case.user)
    kit.dispatch(erase(case.customer))
    user = User.objects.get(pk=case.user.pk)
    assert (user.username, user.email, user.first_name, user.last_name) == (
        f"erased-{user.pk}",
        "",
        "",
        "",
    )
    assert not user.is_active
    assert not user.has_usable_password()
    assert not Session.objects.exists()
    assert client.get("/api/v1/orders").status_code == 401


def test_the_log_never_stores_the_name_of_an_account(case):
    [actor] = OutboxEvent.objects.filter(command_id=case.placing.command_id, version=1).values_list(
        "actor", flat=True
    )[:1]
    assert actor == {"type": "user", "id": str(case.user.pk), "label": "customer"}


# --- Refusals ----------------------------------------------------------------------------------
def refusal_of(customer, error):
    kept = PersonalData.objects.count()
    with pytest.raises(error) as refusal:
        kit.dispatch(erase(customer))
    assert PersonalData.objects.count() == kept
    return str(refusal.value)


def test_a_customer_with_an_open_order_is_not_erased(case):
    order = case.place_online()
    for status in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        assert refusal_of(case.customer, HasOpenOrdersError) == (
            "The customer has 1 open order, returns and refunds included:"
            f" {order.order_number}. Close them first."
        )
        kit.dispatch(kit.move(order, status))
    kit.dispatch(kit.move(order, OrderStatus.COMPLETED))
    kit.dispatch(erase(case.customer))


def test_a_customer_with_an_open_return_is_not_erased(case):
    order = case.completed
    [line] = lines_of(order)
    units = [{"line_id": line, "quantity": 1, "reason": "unwanted"}]
    kit.dispatch(command(RequestReturn, order_id=order.pk, items=units))
    assert order.order_number in refusal_of(case.customer, HasOpenOrdersError)


def lines_of(order):
    events: list[Any] = log.read_stream(order.stream)
    return [event.line_id for event in events if event.type == "OrderItemAdded"]


def test_a_customer_with_an_open_refund_is_not_erased(case):
    kit.dispatch(
        command(
            RecordPayment,
            order_id=case.completed.pk,
            payment_id="till-1",
            kind="captured",
            amount="39.80",
        )
    )
    kit.dispatch(
        command(RequestRefund, order_id=case.completed.pk, amount="1.00", reason="A scratch")
    )
    assert case.completed.order_number in refusal_of(case.customer, HasOpenOrdersError)


def test_an_erased_customer_refuses_every_command(case):
    kit.dispatch(erase(case.customer))
    target = {"customer_id": case.customer.pk}
    for refused in (
        erase(case.customer),
        command(ChangeCustomerDetails, name="Zoë", **target),
        command(BlockCustomer, reason="Late", **target),
        command(UnblockCustomer, reason="Paid", **target),
        kit.create_order(case.customer, (case.product, 1)),
        command(AddNote, order_id=case.completed.pk, text=NOTE),
    ):
        with pytest.raises(CustomerErasedError):
            kit.dispatch(refused)


def test_an_unknown_customer_is_not_found(case):
    stranger = Customer(customer_id=uuid.uuid4())
    assert refusal_of(stranger, CustomerNotFoundError) == "Customer not found"


# --- Races and repeats -------------------------------------------------------------------------
def test_a_repeated_command_of_an_erased_customer_is_refused(case):
    kit.dispatch(erase(case.customer))
    assert not CommandRecord.objects.filter(pk=case.placing.command_id).exists()
    with pytest.raises(IdempotencyKeyExpiredError):
        kit.dispatch(case.placing)


def test_a_repeat_of_the_erasure_returns_the_same_events(case):
    erasure = erase(case.customer)
    first = kit.dispatch(erasure)
    assert [event.recorded.event_id for event in kit.dispatch(erasure)] == [
        event.recorded.event_id for event in first
    ]


def test_a_dry_run_erases_no_data(case):
    before = PersonalData.objects.count()
    get_command_bus().preview(erase(case.customer))
    assert PersonalData.objects.count() == before
    assert User.objects.get(pk=case.user.pk).is_active


def test_a_concurrent_order_prevents_the_erasure_or_is_refused(committed, case):
    def place():
        try:
            kit.dispatch(kit.create_order(case.customer, (case.product, 1), note=NOTE))
        except CustomerErasedError:
            return "refused"
        return "placed"

    def erase_customer():
        try:
            kit.dispatch(erase(case.customer))
        except HasOpenOrdersError:
            return "open"
        return "erased"

    *placed, erased = at_once([place, place, place, erase_customer])
    assert (erased, "placed" in placed) in {("erased", False), ("open", True)}
    kept = PersonalData.objects.filter(customer_id=case.customer.pk).exists()
    assert kept == (erased == "open")


# --- The command line --------------------------------------------------------------------------
def run_command(case, *options, user="admin", reason="Asked for it"):
    out = StringIO()
    required = ["--user", user, "--reason", reason]
    call_command("erase_customer", str(case.customer.pk), *required, *options, stdout=out)
    return out.getvalue().splitlines()


def test_the_command_line_prints_the_numbers_of_erased_rows(case, admin_user):
    report = [
        "        7 personal fields",
        "        2 orders",
        "       13 commands",
        "        0 refusals",
        "        1 accounts",
        "        1 sessions",
        "        1 tokens",
        "        1 admin history",
    ]
    assert run_command(case, "--dry-run") == ["Would be erased:", *report]
    assert run_command(case) == ["Erased:", *report]
    with pytest.raises(CommandError, match="that is final"):
        run_command(case)


def test_the_command_line_needs_an_active_user_with_the_permission_and_a_reason(case, clerk):
    with pytest.raises(CommandError, match=r"permission ordering_write\.erase_customer"):
        run_command(case, user="clerk")
    with pytest.raises(CommandError, match="There is no active user ghost"):
        run_command(case, user="ghost")
    with pytest.raises(CommandError, match="at least 1 character"):
        run_command(case, user="clerk", reason=" ")


# --- The scan ----------------------------------------------------------------------------------
def scan(*arguments):
    out = StringIO()
    try:
        call_command("scan_personal_data", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue().splitlines(), str(error)
    return out.getvalue().splitlines(), ""


def test_the_scan_finds_the_personal_texts_of_a_customer(case):
    assert {NAME, EMAIL, PHONE, STREET, NOTE, USERNAME} < set(personal_texts(case.customer.pk))
    lines, error = scan("--customer", str(case.customer.pk))
    assert "default: ordering_write_customer.email: 1" in lines
    assert error == f"Found in {len(lines)} columns."

    kit.dispatch(erase(case.customer))
    lines, error = scan("--customer", str(case.customer.pk))
    assert error == f"Customer {case.customer.pk} was erased; give the texts to search for."
    assert scan("--customer", str(uuid.UUID(int=7)))[1].startswith("There is no customer ")


def test_the_scan_ignores_case(case, subtests):
    for text in (NAME, NOTE, EMAIL.upper(), "parrot"):
        with subtests.test(text):
            lines, error = scan("--text", text, "--text", "Nobody At All")
            assert any(line.startswith("default: personal_data.fields: ") for line in lines)
            assert error


def test_the_scan_has_no_wildcards(case):
    assert scan("--text", "%", "--text", "q__rk") == (["Found nowhere."], "")
    assert "default: django_session.session_data, decoded: 1" in scan("--text", NAME)[0]


def test_erasing_many_orders_takes_as_many_statements_as_one() -> None:
    def statements(orders: int) -> int:
        customer, product = kit.registered_customer(), kit.registered_product()
        for _ in range(orders):
            order = kit.placed_order(customer, (product, 1))
            kit.dispatch(kit.cancel(order))
        with CaptureQueriesContext(connection) as queries:
            kit.dispatch(
                EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="She has asked.")
            )
        return sum("INSERT INTO ordering_write_order " in query["sql"] for query in queries)

    assert statements(1) == statements(4) == 1
