"""Reading what one has just written: tokens, waiting for them, and who may wait."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as configured
from django.db import connections
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from config.http.input import consistency
from config.http.limits import waiting_slots
from ordering_read.engine import live, waiting
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write import published
from ordering_write.models import Customer
from tests import kit
from tests.acceptance.service import wait_until
from tests.integration.test_http_freshness import PATHS
from tests.integration.test_read_api import ROOT, client_of

TOKEN = consistency.HEADER


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


def register(client: APIClient) -> tuple[str, str]:
    """A customer is registered over HTTP; the customer's address, and the token."""
    body = {"name": "Robin Sample", "email": f"{uuid4().hex}@example.com"}
    answer = client.post(f"{ROOT}/customers", body, "json")
    assert answer.status_code == 201
    return f"{ROOT}/customers/{answer.json()['customer_id']}", answer[TOKEN]


def get(client: APIClient, path: str, token: str, prefer: str = "") -> Any:
    headers = {TOKEN: token} | ({"Prefer": prefer} if prefer else {})
    return client.get(path, headers=headers)


def catch_up() -> None:
    live.run(*registered())


@pytest.fixture
def worker() -> Iterator[threading.Event]:
    """Somebody who catches up all the time, once the event is set."""
    go, stop = threading.Event(), threading.Event()

    def work() -> None:
        go.wait()
        while not stop.is_set():
            catch_up()
            stop.wait(0.01)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield go
    stop.set()
    go.set()
    thread.join()


# --- Tokens ------------------------------------------------------------------------------------
@pytest.mark.django_db(databases=["default", "read"])
class TestTokens:
    def test_every_command_answers_with_one(
        self, admin: APIClient, customer: Customer, settings: Any
    ) -> None:
        product = kit.registered_product()
        order = kit.placed_order(customer, (product, 1))
        placed = kit.create_order(customer, (product, 1)).model_dump(
            mode="json", include={"customer_id", "items", "shipping_address", "currency"}
        )
        asked = [
            ("orders", {**placed, "items": [
                {"product_id": str(product.pk), "quantity": 1, "unit_price": "19.90"}]}),
            (f"orders/{order.pk}/status", {"status": "confirmed"}),
            (f"orders/{order.pk}/cancel", {"reason": "Not needed"}),
            ("inventory", {"sku": "LAMP", "name": "Lamp", "on_hand": 1}),
            (f"inventory/{product.pk}/receipts", {"quantity": 1}),
            ("customers", {"name": "Kim", "email": "kim@example.com"}),
        ]  # fmt: skip

        answers = [admin.post(f"{ROOT}/{path}", body, "json") for path, body in asked]

        assert {answer.status_code for answer in answers} <= {200, 201}
        for answer in answers:
            event = kit.OutboxEvent.objects.get(event_id=consistency.event_of(answer[TOKEN]))
            commit = kit.OutboxEvent.objects.filter(commit_id=event.commit_id)
            assert commit.latest("id") == event

    def test_a_repeat_has_the_same(self, admin: APIClient) -> None:
        body = {"name": "Kim", "email": "kim@example.com"}
        first, second = (
            admin.post(f"{ROOT}/customers", body, "json", headers={"idempotency-key": "k1"})
            for _ in range(2)
        )

        assert second["Idempotency-Replayed"] == "true"
        assert first[TOKEN] == second[TOKEN]

    @pytest.mark.parametrize("prefer", ["", "wait=1"])
    @pytest.mark.parametrize(
        "token", ["", "x", UUID(int=1).hex, f"{UUID(int=1).hex}.x", "ä", "a" * 5_000]
    )
    def test_junk_is_refused(self, admin: APIClient, token: str, prefer: str) -> None:
        answer = get(admin, f"{ROOT}/orders", token, prefer)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
        assert answer.json()["parameter"] == TOKEN

    @pytest.mark.parametrize("path", PATHS)
    def test_every_read_takes_one(self, admin: APIClient, customer: Customer, path: str) -> None:
        product = kit.registered_product()
        order = kit.placed_order(customer, (product, 1))
        catch_up()
        here = ROOT + path.format(
            order=order.pk,
            number=order.order_number,
            customer=customer.pk,
            product=product.pk,
        )
        _, token = register(admin)

        behind, refused = get(admin, here, token), get(admin, here, token, "wait=0")
        catch_up()
        level, shown = get(admin, here, token), get(admin, here, token, "wait=0")

        assert [one.status_code for one in (behind, refused, level, shown)] == [200, 503, 200, 200]
        assert behind["Projection-Behind"] == "true"
        assert not level.has_header("Projection-Behind")
        assert shown["Preference-Applied"] == "wait"
        assert not any(one.has_header("Preference-Applied") for one in (behind, refused, level))

    def test_what_is_behind_is_a_problem(self, admin: APIClient) -> None:
        path, token = register(admin)

        answer = get(admin, path, token, "wait=0")

        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
        assert answer["Content-Type"] == "application/problem+json"
        body = answer.json()
        assert (body["code"], body["title"]) == ("projection_behind", "Projection behind")
        assert (body["required_position"], body["projection_position"]) == (1, 0)
        assert answer["Projection-Position"] == "0"

    def test_only_what_the_address_reads_is_waited_for(self, admin: APIClient) -> None:
        path, token = register(admin)
        live.run("customer_view")

        assert get(admin, path, token, "wait=0").status_code == 200
        assert get(admin, f"{ROOT}/orders", token, "wait=0").status_code == 503

    def test_without_a_token_nobody_waits(self, admin: APIClient) -> None:
        register(admin)

        answer = admin.get(f"{ROOT}/customers", headers={"prefer": "wait=10"})

        assert answer.status_code == 200
        assert not answer.has_header("Preference-Applied")

    def test_a_known_list_that_is_behind_is_not_said_to_be_new(self, admin: APIClient) -> None:
        tag = admin.get(f"{ROOT}/customers")["ETag"]
        _, token = register(admin)

        headers = {TOKEN: token, "If-None-Match": tag}
        answer = admin.get(f"{ROOT}/customers", headers=headers)
        waited = admin.get(f"{ROOT}/customers", headers={**headers, "Prefer": "wait=0"})

        assert (answer.status_code, answer["Projection-Behind"]) == (304, "true")
        assert waited.status_code == 503


# --- Waiting -----------------------------------------------------------------------------------
@pytest.mark.usefixtures("committed")
class TestWaiting:
    def test_it_ends_when_the_projections_have_passed(
        self, admin: APIClient, worker: threading.Event
    ) -> None:
        path, token = register(admin)
        began = time.monotonic()
        timer = threading.Timer(0.2, worker.set)
        timer.start()

        answer = get(admin, path, token, "wait=10")

        assert answer.status_code == 200
        assert answer["Preference-Applied"] == "wait"
        assert 0.2 <= time.monotonic() - began < 8
        timer.join()

    def test_it_ends_in_vain_when_they_do_not(self, admin: APIClient) -> None:
        path, token = register(admin)
        began = time.monotonic()

        answer = get(admin, path, token, "wait=1")

        assert answer.status_code == 503
        assert 1 <= time.monotonic() - began < 5

    def test_a_notification_that_is_lost_costs_little(
        self, admin: APIClient, monkeypatch: pytest.MonkeyPatch, worker: threading.Event
    ) -> None:
        monkeypatch.setattr(published.checkpoints_moved, "receivers", [])
        path, token = register(admin)
        timer = threading.Timer(0.1, worker.set)
        timer.start()
        began = time.monotonic()

        assert get(admin, path, token, "wait=10").status_code == 200

        assert time.monotonic() - began < 5
        timer.join()

    def test_each_batch_tells_that_it_moved(self) -> None:
        listener = connections["read"].copy()
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {waiting.CHANNEL}")
        for _ in range(2):
            kit.registered_customer()

        live.run("customer_view")
        told = list(listener.connection.notifies(timeout=5, stop_after=1))
        listener.close()

        assert [one.channel for one in told] == [waiting.CHANNEL]

    def test_who_waits_holds_no_connection(self, admin: APIClient) -> None:
        path, token = register(admin)
        catch_up()
        ours: list[int] = []
        seen: list[int] = []

        def ask() -> None:
            client = APIClient()
            client.force_authenticate(User.objects.get())
            client.get(path)
            ours.extend(
                connection.connection.info.backend_pid
                for connection in connections.all(initialized_only=True)
            )
            Projection.objects.filter(name="customer_view").update(position=0)
            get(client, path, token, "wait=10")
            seen.append(1)
            connections.close_all()

        def are_open() -> int:
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [ours])
                return int(cursor.fetchone()[0])

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: len(ours) >= 2 and not are_open(), missing="they stay open")
        assert not seen
        Projection.objects.filter(name="customer_view").update(position=1)
        thread.join()
        assert seen

    def test_one_thread_looks_for_all(self, admin: APIClient, worker: threading.Event) -> None:
        path, token = register(admin)
        answers = _at_once(3, path, token, "wait=10")

        wait_until(lambda: len(_named("waiting")) == 1, missing="nobody looks")
        worker.set()

        assert [one.status_code for one in answers()] == [200] * 3

    def test_at_most_half_of_the_threads_wait(
        self, admin: APIClient, worker: threading.Event
    ) -> None:
        path, token = register(admin)
        half = configured.WEB_THREADS // 2
        answers = _at_once(half, path, token, "wait=10")
        wait_until(lambda: waiting_slots._slots._value == 0, missing="they don't wait")

        began = time.monotonic()
        refused = get(admin, path, token, "wait=10")

        assert (refused.status_code, refused["Retry-After"]) == (503, "1")
        assert time.monotonic() - began < 5
        worker.set()
        assert [one.status_code for one in answers()] == [200] * half

    def test_the_thread_comes_back_after_an_outage(
        self, admin: APIClient, worker: threading.Event
    ) -> None:
        path, token = register(admin)
        answers = _at_once(1, path, token, "wait=10")
        wait_until(_others, missing="nobody listens")
        listening = _others()

        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid",
                           [listening])  # fmt: skip
        wait_until(lambda: set(_others()) - set(listening), missing="nobody listens again")
        worker.set()

        assert [one.status_code for one in answers()] == [200]


def _named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def _others() -> list[int]:
    """The other connections to the read database: those of the thread that looks."""
    with connections["read"].cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def _at_once(count: int, path: str, token: str, prefer: str) -> Any:
    """Start so many requests; returns what waits for their answers."""
    answers: list[Any] = []

    def ask() -> None:
        client = APIClient()
        client.force_authenticate(User.objects.get())
        answers.append(get(client, path, token, prefer))
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()

    def joined() -> list[Any]:
        for thread in threads:
            thread.join()
        return answers

    return joined
