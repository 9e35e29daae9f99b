"""Events of the log reach webhook endpoints: signed, in order, at least once, and none is lost."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from config.workers import tasks
from config.workers.broker import ProjectionBroker
from ordering_write import log, webhooks
from ordering_write.domain.events import OrderStatus
from ordering_write.log import feed
from ordering_write.models import Alarm, Order
from ordering_write.webhooks import deliveries, delivery_log, endpoints, outcomes
from ordering_write.webhooks.models import WebhookDelivery, WebhookEndpoint
from tests import kit
from tests.webhook_receiver import Received, Receiver, receiver

START = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def books() -> Iterator[Receiver]:
    """The receiver of the shop's bookkeeping."""
    with receiver() as books:
        yield books


@pytest.fixture
def endpoint(db: None, books: Receiver, settings: Any) -> WebhookEndpoint:
    """An endpoint that gets the events of all that happens after it was registered."""
    settings.WEBHOOK_PRIVATE_ADDRESSES = True
    kit.registered_product()
    return register(books.url)


def register(url: str, name: str = "books", **fields: Any) -> WebhookEndpoint:
    new = endpoints.NewEndpoint(name=name, url=url, **fields)
    return endpoints.register(new, by="a test")


def placed_order() -> Order:
    return kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))


def send(after: timedelta = timedelta(), *names: str) -> None:
    """Make deliveries of new events, and send what is due ``after`` the start of the tests."""
    names = names or ("books",)
    webhooks.SUBSCRIPTION.run(*names, seconds=0)
    deliveries.send_due(names, now=START + HOUR + after, seconds=10)


def events_of(stream: str) -> list[UUID]:
    return [event.recorded.event_id for event in log.read_stream(stream)]


def events_after(position: int) -> list[UUID]:
    return [event.event_id for event in feed.read_log(after=position, types=(), limit=1000).events]


def states() -> list[str]:
    return list(WebhookDelivery.objects.order_by("position").values_list("state", flat=True))


def failing(*types: str, status: int = 500) -> Callable[[Received], int]:
    return lambda message: status if message.event["type"] in types else 204


# --- What a message says -----------------------------------------------------------------------
def is_signed(body: bytes, header: str, secret: str, *, now: float) -> bool:
    """Check a message as docs/how-to/receive-webhooks.md shows it."""
    parts = [part.split("=", 1) for part in header.split(",")]
    seconds = dict(parts)["t"]
    signed = f"{seconds}.".encode() + body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    is_recent = abs(now - int(seconds)) < 300
    return is_recent and any(
        name == "v1" and hmac.compare_digest(value, expected) for name, value in parts
    )


def test_an_endpoint_gets_the_events_after_its_registration_in_order_and_signed(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    order = placed_order()

    send()

    assert sorted(books.event_ids) == sorted(events_after(endpoint.position))
    assert books.event_ids_of(order.stream) == events_of(order.stream)
    assert set(states()) == {"delivered"}
    for message in books.messages:
        now = (START + HOUR).timestamp()
        assert message.path == "/orders?shop=1"
        assert message.headers["Content-Type"] == "application/json"
        assert message.headers["Webhook-Attempt"] == "1"
        signature = message.headers["Webhook-Signature"]
        assert is_signed(message.body, signature, endpoint.secret, now=now)
        assert not is_signed(message.body + b" ", signature, endpoint.secret, now=now)
        assert not is_signed(message.body, signature, endpoint.secret, now=now + 301)


def test_a_message_is_the_event_of_the_feed_without_personal_fields(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    customer = kit.registered_customer("Robin Secret", email="robin.secret@example.com")
    kit.placed_order(customer, (kit.registered_product(), 1))

    send()

    stored = feed.read_log(after=endpoint.position, types=(), limit=1000).events
    by_position = sorted(books.messages, key=lambda message: int(message.event["position"]))
    assert [message.event for message in by_position] == [
        event.model_dump(mode="json", exclude={"personal"}) for event in stored
    ]
    sent = b"".join(message.body for message in books.messages).lower()
    assert any(event.personal for event in stored)
    assert b"secret" not in sent
    assert kit.ADDRESS["line1"].lower().encode() not in sent


def test_an_endpoint_gets_events_of_its_types_only(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    endpoints.change("books", endpoints.EndpointChange(event_types=["OrderCreated"]), by="a test")
    placed_order()

    send()

    assert [message.event["type"] for message in books.messages] == ["OrderCreated"]
    assert WebhookEndpoint.objects.get().position == log.last_position()


def test_after_a_rotation_messages_are_signed_by_both_secrets_for_a_while(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    rotated = endpoints.rotate_secret("books", hours=3, by="a test")
    assert rotated.secret != endpoint.secret

    def signers(after: timedelta) -> list[bool]:
        kit.registered_customer()
        send(after)
        message, now = books.messages[-1], (START + HOUR + after).timestamp()
        signature = message.headers["Webhook-Signature"]
        return [
            is_signed(message.body, signature, secret, now=now)
            for secret in (endpoint.secret, rotated.secret)
        ]

    assert signers(HOUR) == [True, True]
    assert signers(3 * HOUR) == [False, True]


# --- Failures ----------------------------------------------------------------------------------
def test_events_of_an_order_wait_for_its_failed_one_and_others_go_on(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    first, second = placed_order(), placed_order()
    first_created = events_of(first.stream)[0]
    books.answer = lambda message: 503 if message.event_id == first_created else 204

    for minute in range(5):
        send(timedelta(minutes=minute))

    sent_streams = {message.event["stream"] for message in books.messages[1:]}
    assert second.stream in sent_streams
    assert books.event_ids_of(first.stream) == [first_created] * 5
    delivery = WebhookDelivery.objects.get(event_id=first_created)
    assert (delivery.state, delivery.status, delivery.tries) == ("waiting", 503, 5)
    assert delivery.error.startswith("503")


def test_an_hour_without_the_receiver_loses_nothing_and_keeps_the_order(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    orders = [placed_order() for _ in range(3)]
    books.answer = lambda _message: 500
    for seconds in range(0, 3600, 60):
        send(timedelta(seconds=seconds))
    tried = len(books.messages)
    # Pauses double: an endpoint that is down gets a try now and then.
    assert 5 < tried < 20
    books.answer = lambda _message: 204

    send(3 * HOUR)

    del books.messages[:tried]
    assert sorted(books.event_ids) == sorted(events_after(endpoint.position))
    for order in orders:
        assert books.event_ids_of(order.stream) == events_of(order.stream)
    row = WebhookEndpoint.objects.get()
    assert (row.failures, row.failing_since, row.paused_until) == (0, None, None)


def test_an_event_is_parked_after_three_days_and_can_be_sent_again_or_skipped(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    order = placed_order()
    books.answer = failing("OrderCreated")
    send()
    for day in (1, 2, 3):
        # The endpoint works, except for that event.
        kit.registered_customer()
        send(day * DAY)
        send(day * DAY + HOUR)

    created = WebhookDelivery.objects.get(type="OrderCreated")
    assert created.state == "parked"
    assert "OrderCreated" in Alarm.objects.latest("pk").text
    later = WebhookDelivery.objects.filter(stream=order.stream, position__gt=created.position)
    assert {delivery.state for delivery in later} == {"waiting"}

    delivery_log.send_again(created.pk, by="a test")
    send(4 * DAY)
    assert WebhookDelivery.objects.get(pk=created.pk).state == "waiting"

    delivery_log.skip(created.pk, reason="Unreadable", by="a test")
    send(5 * DAY)
    assert not WebhookDelivery.objects.exclude(state__in=("delivered", "skipped")).exists()
    with pytest.raises(delivery_log.DeliveryDoneError):
        delivery_log.skip(created.pk, reason="Unreadable", by="a test")


def test_an_endpoint_without_a_success_for_three_days_is_disabled_and_goes_on_when_enabled(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    placed_order()
    books.answer = lambda _message: 410
    for hours in range(0, 80, 2):
        send(hours * HOUR)

    row = WebhookEndpoint.objects.get()
    assert row.disabled_at == START + HOUR + 72 * HOUR
    assert "books was disabled" in Alarm.objects.latest("pk").text
    assert set(states()) == {"waiting"}
    assert webhooks.SUBSCRIPTION.names() == []

    # While nothing is sent, events stay in the log.
    placed_order()
    sent = len(books.messages)
    send(90 * HOUR)
    assert len(books.messages) == sent
    books.answer = lambda _message: 204
    endpoints.enable("books", by="a test")
    send(91 * HOUR)

    assert {message.event_id for message in books.messages[sent:]} == set(
        events_after(endpoint.position)
    )
    assert WebhookEndpoint.objects.get().is_enabled


def test_a_delivery_of_a_killed_worker_is_sent_again_when_its_lease_ends(
    endpoint: WebhookEndpoint, books: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.registered_customer()
    with monkeypatch.context() as patch:
        # The worker ends between the answer and the record of the answer.
        patch.setattr(outcomes, "record", lambda *_arguments: None)
        webhooks.SUBSCRIPTION.run("books", seconds=0)
        deliveries.send_due(["books"], now=START + HOUR, seconds=10)

    send(timedelta(seconds=29))
    assert len(books.messages) == 1
    send(timedelta(seconds=31))

    assert len(books.messages) == 2
    assert len(books.event_ids) == 1
    assert [message.headers["Webhook-Attempt"] for message in books.messages] == ["1", "2"]


def test_the_broker_hands_out_an_endpoint_with_new_events_or_due_deliveries(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    assert not webhooks.SUBSCRIPTION.lease().behind
    kit.registered_customer()
    assert webhooks.SUBSCRIPTION.lease().behind == {"books": 1}
    books.answer = lambda _message: 500
    tasks.run("webhooks", "books")
    assert len(books.messages) == 1

    # The next try isn't due yet; after the pause it is.
    assert not webhooks.SUBSCRIPTION.lease().behind
    WebhookDelivery.objects.update(due_at=START)
    WebhookEndpoint.objects.update(paused_until=START)
    assert webhooks.SUBSCRIPTION.lease().behind == {"books": 0}

    # A parked delivery blocks its stream: nothing is due.
    WebhookDelivery.objects.update(state="parked")
    WebhookEndpoint.objects.update(leased_until=None)
    assert not webhooks.SUBSCRIPTION.lease().behind
    broker = ProjectionBroker("orders")
    assert not any("webhooks" in str(handout) for handout in broker.dequeue() or ())
    if broker._listener:
        broker._listener.close()


def test_a_batch_of_deliveries_takes_few_statements(
    endpoint: WebhookEndpoint, books: Receiver, django_assert_max_num_queries: Any
) -> None:
    for _ in range(8):
        kit.registered_customer()
    webhooks.SUBSCRIPTION.run("books", seconds=0)

    # The savepoints of the test's own transaction count too.
    with django_assert_max_num_queries(17):
        deliveries.send_due(["books"], now=START + HOUR, seconds=10)

    assert len(books.messages) == 8


# --- Operators ---------------------------------------------------------------------------------
def test_a_replay_sends_the_events_after_a_position_again(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    order = placed_order()
    kit.dispatch(kit.move(order, OrderStatus.CONFIRMED))
    send()
    books.messages.clear()

    endpoints.replay("books", after=0, by="a test")
    send(timedelta(seconds=1))

    # Also the event before the registration.
    assert sorted(books.event_ids) == sorted(events_after(0))
    assert len(books.messages) == log.last_position()
    assert books.event_ids_of(order.stream) == events_of(order.stream)
    with pytest.raises(endpoints.PositionAheadError):
        endpoints.replay("books", after=log.last_position() + 1, by="a test")


def test_a_test_message_is_signed_and_tells_how_the_endpoint_answered(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    answer = endpoints.send_test("books")

    assert (answer.status, answer.error, answer.is_success) == (204, "", True)
    [message] = books.messages
    assert (message.event["type"], message.event["position"]) == ("WebhookTest", None)
    assert is_signed(
        message.body,
        message.headers["Webhook-Signature"],
        endpoint.secret,
        now=datetime.now(UTC).timestamp(),
    )
    books.answer = lambda _message: 404
    assert endpoints.send_test("books").error.startswith("404")
    assert not WebhookDelivery.objects.exists()


def test_a_delivery_can_be_sent_again_but_not_while_a_worker_sends_it(
    endpoint: WebhookEndpoint, books: Receiver
) -> None:
    kit.registered_customer()
    send()
    delivery = WebhookDelivery.objects.get()

    delivery_log.send_again(delivery.pk, by="a test")
    send(timedelta(seconds=1))
    assert [message.event_id for message in books.messages] == [delivery.event_id] * 2

    WebhookDelivery.objects.update(leased_until=datetime.now(UTC) + HOUR)
    with pytest.raises(delivery_log.DeliveryWaitsError):
        delivery_log.send_again(delivery.pk, by="a test")


def test_old_deliveries_are_deleted_and_waiting_ones_stay(
    endpoint: WebhookEndpoint, books: Receiver, settings: Any
) -> None:
    kit.registered_customer()
    send()
    books.answer = lambda _message: 500
    kit.registered_customer()
    send()
    WebhookDelivery.objects.filter(state="delivered").update(done_at=START - 31 * DAY)

    assert delivery_log.prune() == 1
    assert states() == ["waiting"]

    endpoints.remove("books", by="a test")
    assert not WebhookDelivery.objects.exists()
    with pytest.raises(endpoints.EndpointNotFoundError):
        endpoints.find("books")
