"""Operators manage webhooks over the API, in the admin and by manage.py."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from prometheus_client import generate_latest
from rest_framework.test import APIClient

from config.accounts.models import User
from config.metrics import DatabaseCollector
from ordering_read.models import StoredResponse
from ordering_write import log, webhooks
from ordering_write.webhooks.models import WebhookDelivery, WebhookEndpoint
from tests import kit
from tests.kit_admin import list_text, list_url, logged_in, messages_of, page_text, run_action
from tests.webhook_receiver import Receiver, receiver

pytestmark = pytest.mark.usefixtures("db")

ENDPOINTS, DELIVERIES = "/api/v1/webhook-endpoints", "/api/v1/webhook-deliveries"
ENDPOINT_PAGE = "ordering_write/webhookendpoint"
DELIVERY_PAGE = "ordering_write/webhookdelivery"


@pytest.fixture
def books(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_PRIVATE_ADDRESSES = True
    with receiver() as books:
        yield books


def api(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def post(client: APIClient, address: str, status: int = 200, /, **fields: Any) -> Any:
    response = client.post(address, fields, format="json")
    assert response.status_code == status, response.content
    return response.json()


def registered(url: str = "https://books.example/orders") -> WebhookEndpoint:
    fields = webhooks.endpoints.NewEndpoint(name="books", url=url)
    return webhooks.endpoints.register(fields, by="a test")


def failed_delivery(books: Receiver) -> WebhookDelivery:
    """Return a delivery that the receiver has refused."""
    registered(books.url)
    kit.registered_customer()
    books.answer = lambda _message: 500
    # Without a time limit, as when the service starts.
    webhooks.SUBSCRIPTION.run("books")
    return WebhookDelivery.objects.get()


def manage(*arguments: str) -> str:
    out = StringIO()
    call_command("webhooks", *arguments, stdout=out)
    return out.getvalue()


# --- The API -----------------------------------------------------------------------------------
def test_the_secret_is_shown_when_it_is_made_and_never_again(admin_user: User) -> None:
    client = api(admin_user)

    made = post(client, ENDPOINTS, 201, name="books", url="https://books.example/orders")

    endpoint = WebhookEndpoint.objects.get()
    url = f"{ENDPOINTS}/{endpoint.key}"
    assert made["secret"] == endpoint.secret
    assert made["links"]["self"].endswith(url)
    shown = client.get(url).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert shown["created_by"] == f"admin (user {admin_user.pk})"
    rotated = post(client, f"{url}/rotate-secret", former_hours=1)
    assert rotated["secret"] not in (made["secret"], "")
    assert rotated["former_secret_until"] is not None
    everything = json.dumps([client.get(ENDPOINTS).json(), client.get(url).json()])
    assert made["secret"] not in everything
    assert rotated["secret"] not in everything


def test_a_secret_is_not_stored_for_repeats(admin_user: User) -> None:
    client, new = api(admin_user), {"name": "books", "url": "https://books.example/orders"}

    def answers(path: str, status: int, **fields: Any) -> tuple[Any, Any]:
        """Return the answers to a request and to its repeat."""
        headers = {"Idempotency-Key": path}
        sent = [client.post(path, fields, format="json", headers=headers) for _ in range(2)]
        assert [response.status_code for response in sent] == [status, status]
        assert sent[1].headers["Idempotency-Replayed"] == "true"
        return sent[0].json(), sent[1].json()

    made, repeated = answers(ENDPOINTS, 201, **new)
    assert made["secret"] == WebhookEndpoint.objects.get().secret
    assert repeated == {**made, "secret": None}

    rotated, repeated = answers(f"{ENDPOINTS}/{made['id']}/rotate-secret", 200, former_hours=1)
    assert rotated["secret"] == WebhookEndpoint.objects.get().secret
    assert repeated == {**rotated, "secret": None}

    stored = str(list(StoredResponse.objects.values()))
    assert "books" in stored
    assert made["secret"] not in stored
    assert rotated["secret"] not in stored


def test_wrong_fields_and_wrong_moments_are_refused_with_reasons(
    admin_user: User, subtests: pytest.Subtests
) -> None:
    client = api(admin_user)
    url = f"{ENDPOINTS}/{registered().key}"
    new = {"name": "erp", "url": "https://erp.example/"}
    for path, status, pointer, fields in (
        (ENDPOINTS, 409, None, {**new, "name": "books"}),
        (ENDPOINTS, 422, "#/name", {**new, "name": "With Spaces"}),
        (ENDPOINTS, 422, "#/url", {**new, "url": "http://erp.example/"}),
        (ENDPOINTS, 422, "#/event_types/0", {**new, "event_types": ["NoSuchEvent"]}),
        (ENDPOINTS, 422, "#/secret", {**new, "secret": "mine"}),
        (f"{url}/replay", 409, None, {"after": 10**9}),
        (f"{url}/replay", 422, "#/after", {"after": -1}),
        (f"{url}/rotate-secret", 422, "#/former_hours", {"former_hours": 1000}),
        (f"{url}/disable", 422, "#/reason", {}),
        (f"{ENDPOINTS}/{kit.USER}/enable", 404, None, {}),
        (f"{DELIVERIES}/{kit.USER}/send-again", 404, None, {}),
    ):
        with subtests.test("refused", path=path, fields=fields):
            problem = post(client, path, status, **fields)
            assert problem["detail"]
            if pointer:
                assert pointer in [error["pointer"] for error in problem["errors"]]
    assert WebhookEndpoint.objects.count() == 1


def test_an_endpoint_is_changed_disabled_enabled_replayed_and_removed(admin_user: User) -> None:
    client, endpoint = api(admin_user), registered()
    kit.registered_customer()
    url = f"{ENDPOINTS}/{endpoint.key}"

    changed = client.patch(url, {"event_types": ["OrderCreated"]}, format="json").json()
    assert (changed["event_types"], changed["url"]) == (["OrderCreated"], endpoint.url)
    disabled = post(client, f"{url}/disable", reason="It moves")
    assert (disabled["disabled_reason"], disabled["disabled_at"] is None) == ("It moves", False)
    assert post(client, f"{url}/enable")["disabled_at"] is None
    assert post(client, f"{url}/replay", after=0)["position"] == 0
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


def test_a_test_message_tells_the_answer(admin_user: User, books: Receiver) -> None:
    url = f"{ENDPOINTS}/{registered(books.url).key}/test"

    assert post(api(admin_user), url) == {"delivered": True, "status": 204, "error": ""}
    books.answer = lambda _message: 401
    failed = post(api(admin_user), url)

    assert (failed["delivered"], failed["status"]) == (False, 401)
    assert [message.event["type"] for message in books.messages] == ["WebhookTest"] * 2


def test_a_delivery_is_listed_sent_again_and_skipped(admin_user: User, books: Receiver) -> None:
    client, delivery = api(admin_user), failed_delivery(books)
    url = f"{DELIVERIES}/{delivery.pk}"

    [listed] = client.get(f"{DELIVERIES}?endpoint=books&state=waiting").json()["results"]
    assert listed == client.get(url).json()
    assert (listed["status"], listed["tries"], listed["type"]) == (500, 1, "CustomerRegistered")
    assert listed["error"].startswith("500")
    assert client.get(f"{DELIVERIES}?state=parked").json()["count"] == 0
    assert client.get(f"{DELIVERIES}?state=lost").status_code == 400
    assert post(client, f"{url}/send-again")["tries"] == 0
    assert post(client, f"{url}/skip", reason="A test")["state"] == "skipped"
    assert post(client, f"{url}/skip", 409, reason="A test")["type"].endswith("delivery-done")


def test_an_auditor_reads_and_a_clerk_does_not_even_that(auditor: User, clerk: User) -> None:
    url = f"{ENDPOINTS}/{registered().key}"

    for path in (ENDPOINTS, url, DELIVERIES):
        assert api(auditor).get(path).status_code == 200
        assert api(clerk).get(path).status_code == 403
    for command in ("rotate-secret", "test", "disable", "enable", "replay"):
        assert api(auditor).post(f"{url}/{command}", {}, format="json").status_code == 403
    assert api(auditor).delete(url).status_code == 403


def test_the_metrics_count_what_waits_and_fails(books: Receiver) -> None:
    failed_delivery(books)

    lines = generate_latest(DatabaseCollector()).decode().splitlines()

    assert 'orders_webhook_deliveries{endpoint="books",state="waiting"} 1.0' in lines
    assert 'orders_webhook_deliveries{endpoint="books",state="parked"} 0.0' in lines
    assert 'orders_webhook_failures{endpoint="books"} 1.0' in lines
    assert 'orders_webhook_disabled{endpoint="books"} 0.0' in lines
    assert f'orders_webhook_position{{endpoint="books"}} {float(log.head())}' in lines


# --- The admin ---------------------------------------------------------------------------------
def test_the_admin_registers_and_changes_an_endpoint(admin_user: User) -> None:
    client = logged_in(admin_user)
    add = list_url(ENDPOINT_PAGE) + "add/"
    fields = {"name": "books", "url": "https://books.example/", "description": ""}

    refused = client.post(add, {**fields, "url": "http://books.example/"})
    assert "an address begins with https://" in refused.text
    made = client.post(add, fields)

    endpoint = WebhookEndpoint.objects.get()
    assert any(endpoint.secret in message for message in messages_of(made))
    assert endpoint.secret in client.get(list_url(ENDPOINT_PAGE)).text
    page = f"{list_url(ENDPOINT_PAGE)}{endpoint.pk}/change/"
    assert endpoint.secret not in client.get(page).text
    client.post(page, {**fields, "event_types": ["OrderCreated"]})
    assert WebhookEndpoint.objects.get().event_types == ["OrderCreated"]
    assert "books https://books.example/ enabled none yet 0 0" in list_text(client, ENDPOINT_PAGE)


def test_the_admin_asks_before_it_acts_on_endpoints(
    admin_user: User, auditor: User, books: Receiver
) -> None:
    client, endpoint = logged_in(admin_user), registered(books.url)

    def act(action: str, **fields: Any) -> str:
        question = str(run_action(client, ENDPOINT_PAGE, action, endpoint)["Location"])
        assert "books" in page_text(client, question)
        response = client.post(question.partition("?")[0], {"name": "books", **fields})
        return messages_of(response)[-1]

    assert messages_of(run_action(client, ENDPOINT_PAGE, "test", endpoint)) == [
        "info: books answered 204."
    ]
    assert act("disable", reason="It moves") == "success: books is disabled."
    assert "disabled: It moves" in list_text(client, ENDPOINT_PAGE)
    run_action(client, ENDPOINT_PAGE, "enable", endpoint)
    assert WebhookEndpoint.objects.get().is_enabled
    assert "whsec_" in act("rotate", hours=1)
    assert act("replay", after=0) == "success: books gets the events after 0 again."
    assert "The log ends before" in act("replay", after=10**9)
    assert run_action(logged_in(auditor), ENDPOINT_PAGE, "enable", endpoint).status_code == 403
    assert act("remove") == "success: books is removed."
    assert not WebhookEndpoint.objects.exists()


def test_the_admin_lists_sends_again_and_skips_deliveries(
    admin_user: User, books: Receiver
) -> None:
    client, delivery = logged_in(admin_user), failed_delivery(books)

    text = list_text(client, DELIVERY_PAGE)
    assert "Customer registered Customer books waits for a try 1" in text
    for query, count in (
        (f"?q={delivery.event_id}", 1),
        (f"?q={delivery.position}", 1),
        (f"?q={delivery.stream}", 1),
        ("?state=parked", 0),
        ("?endpoint=books", 1),
    ):
        assert f" {count} webhook deliver" in list_text(client, DELIVERY_PAGE, query)
    assert "500" in page_text(client, f"{list_url(DELIVERY_PAGE)}{delivery.pk}/change/")
    [message] = messages_of(run_action(client, DELIVERY_PAGE, "send_again", delivery))
    assert message.endswith("is sent again.")
    question = str(run_action(client, DELIVERY_PAGE, "skip", delivery)["Location"])
    assert "never sent" in page_text(client, question)
    client.post(question.partition("?")[0], {"id": str(delivery.pk), "reason": "A test"})
    assert WebhookDelivery.objects.get().skip_reason == "A test"


# --- manage.py ---------------------------------------------------------------------------------
def test_the_command_line_does_all_of_it(books: Receiver) -> None:
    added = manage("add", "books", "--url", books.url, "--event-type", "CustomerRegistered")
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret in added
    assert endpoint.event_types == ["CustomerRegistered"]
    kit.registered_customer()
    books.answer = lambda _message: 500
    webhooks.SUBSCRIPTION.run("books", seconds=5)
    delivery = WebhookDelivery.objects.get()

    assert f"books                failing             {log.head()}" in manage("list")
    [listed] = json.loads(manage("deliveries", "--endpoint", "books", "--json"))
    assert (listed["id"], listed["status"]) == (str(delivery.pk), 500)
    assert str(delivery.pk) in manage("deliveries", "--state", "waiting")
    assert "is sent again" in manage("send-again", str(delivery.pk))
    assert "is skipped" in manage("skip", str(delivery.pk), "--reason", "A test")
    assert "is disabled" in manage("disable", "books", "--reason", "It moves")
    assert "is enabled" in manage("enable", "books")
    assert "position 0" in manage("replay", "books", "--after", "0")
    assert json.loads(manage("rotate", "books", "--json"))["secret"] != endpoint.secret
    changed = json.loads(manage("change", "books", "--description", "Invoices", "--json"))
    assert changed["description"] == "Invoices"
    with pytest.raises(CommandError, match="didn't take the message: 500"):
        manage("test", "books")
    books.answer = lambda _message: 200
    assert manage("test", "books") == "books answered 200.\n"
    assert json.loads(manage("list", "--json"))[0]["name"] == "books"
    assert "was removed" in manage("remove", "books")


def test_wrong_arguments_get_a_sentence(subtests: pytest.Subtests) -> None:
    registered()
    for arguments, sentence in (
        (["test", "nobody"], "Webhook endpoint not found"),
        (["add", "books", "--url", "https://books.example/"], "has this name"),
        (["add", "erp", "--url", "erp"], "url: an address begins with https://"),
        (["add", "erp", "--url", "https://erp.example/", "--event-type", "X"], "no event type"),
        (["replay", "books", "--after", "-1"], "--after is 0 or more"),
        (["rotate", "books", "--former-hours", "1000"], "--former-hours is from 0"),
        (["deliveries", "--endpoint", "nobody"], "Webhook endpoint not found"),
        (["deliveries", "--limit", "0"], "--limit is from 1"),
        (["skip", str(kit.USER), "--reason", "A test"], "Webhook delivery not found"),
    ):
        with (
            subtests.test("arguments", text=arguments),
            pytest.raises(CommandError, match=sentence),
        ):
            manage(*arguments)


def test_disabled_endpoints_and_old_deliveries_take_no_room(books: Receiver) -> None:
    delivery = failed_delivery(books)
    old = delivery.due_at - timedelta(days=40)
    WebhookDelivery.objects.update(state="delivered", done_at=old)

    out = StringIO()
    call_command("prune_commands", stdout=out)

    assert "webhook deliveries: 1" in out.getvalue()
    assert not WebhookDelivery.objects.exists()
