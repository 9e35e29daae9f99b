"""Read your own write: consistency tokens, waiting for them, and waiting slots."""

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
from tests.patience import on_this_machine

TOKEN = consistency.HEADER


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


def register(client: APIClient) -> tuple[str, str]:
    """Register a customer over HTTP; return the customer's address and the token."""
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
    """A thread that catches up all the time, once the event is set."""
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
    def test_every_command_answers_with_a_token(
        self, admin: APIClient, customer: Customer, settings: Any
    ) -> None:
        product = kit.registered_product()
        order = kit.placed_order(customer, (product, 1))
        placed = kit.create_order(customer, (product, 1)).model_dump(
            mode="json", include={"customer_id", "items", "shipping_address", "currency"}
        )
        commands = [
            ("orders", {**placed, "items": [
                {"product_id": str(product.pk), "quantity": 1, "unit_price": "19.90"}]}),
            (f"orders/{order.pk}/status", {"status": "confirmed"}),
            (f"orders/{order.pk}/cancel", {"reason": "Not needed"}),
            ("inventory", {"sku": "LAMP", "name": "Lamp", "on_hand": 1}),
            (f"inventory/{product.pk}/receipts", {"quantity": 1}),
            ("customers", {"name": "Kim", "email": "kim@example.com"}),
        ]  # fmt: skip

        answers = [admin.post(f"{ROOT}/{path}", body, "json") for path, body in commands]

        assert {answer.status_code for answer in answers} <= {200, 201}
        for answer in answers:
            event = kit.OutboxEvent.objects.get(event_id=consistency.event_of(answer[TOKEN]))
            commit = kit.OutboxEvent.objects.filter(commit_id=event.commit_id)
            assert commit.latest("id") == event

    def test_a_repeat_has_the_token_of_the_first_answer(self, admin: APIClient) -> None:
        body = {"name": "Kim", "email": "kim@example.com"}
        first, second = (
            admin.post(f"{ROOT}/customers", body, "json", headers={"idempotency-key": "k1"})
            for _ in range(2)
        )

        assert second["Idempotency-Replayed"] == "true"
        assert first[TOKEN] == second[TOKEN]

    def test_a_forged_token_is_refused(self, admin: APIClient, subtests: pytest.Subtests) -> None:
        for prefer in ["", "wait=1"]:
            for token in ["", "x", UUID(int=1).hex, f"{UUID(int=1).hex}.x", "ä", "a" * 5_000]:
                with subtests.test(token=token[:60], prefer=prefer):
                    answer = get(admin, f"{ROOT}/orders", token, prefer)

                    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
                    assert answer.json()["parameter"] == TOKEN

    def test_every_read_accepts_a_token(
        self, admin: APIClient, customer: Customer, subtests: pytest.Subtests
    ) -> None:
        product = kit.registered_product()
        order = kit.placed_order(customer, (product, 1))
        catch_up()
        ids = {
            "order": order.pk,
            "number": order.order_number,
            "customer": customer.pk,
            "product": product.pk,
        }
        urls = [ROOT + path.format(**ids) for path in PATHS]
        _, token = register(admin)

        early = [(get(admin, url, token), get(admin, url, token, "wait=0")) for url in urls]
        catch_up()
        late = [(get(admin, url, token), get(admin, url, token, "wait=0")) for url in urls]

        for url, (behind, refused), (level, shown) in zip(urls, early, late, strict=True):
            with subtests.test(url):
                statuses = [answer.status_code for answer in (behind, refused, level, shown)]
                assert statuses == [200, 503, 200, 200]
                assert behind["Projection-Behind"] == "true"
                assert not level.has_header("Projection-Behind")
                assert shown["Preference-Applied"] == "wait"
                for answer in (behind, refused, level):
                    assert not answer.has_header("Preference-Applied")

    def test_a_read_that_stays_behind_is_a_problem(self, admin: APIClient) -> None:
        path, token = register(admin)

        answer = get(admin, path, token, "wait=0")

        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
        assert answer["Content-Type"] == "application/problem+json"
        body = answer.json()
        assert (body["code"], body["title"]) == ("projection_behind", "Projection behind")
        assert (body["required_position"], body["projection_position"]) == (1, 0)
        assert answer["Projection-Position"] == "0"

    def test_a_read_waits_for_its_own_projections_only(self, admin: APIClient) -> None:
        path, token = register(admin)
        live.run("customer_view")

        assert get(admin, path, token, "wait=0").status_code == 200
        assert get(admin, f"{ROOT}/orders", token, "wait=0").status_code == 503

    def test_a_read_without_a_token_never_waits(self, admin: APIClient) -> None:
        register(admin)

        answer = admin.get(f"{ROOT}/customers", headers={"prefer": "wait=10"})

        assert answer.status_code == 200
        assert not answer.has_header("Preference-Applied")

    def test_a_304_says_that_it_is_behind(self, admin: APIClient) -> None:
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
    def test_the_wait_ends_when_the_projections_have_passed(
        self, admin: APIClient, worker: threading.Event
    ) -> None:
        path, token = register(admin)
        started = time.monotonic()
        timer = threading.Timer(0.2, worker.set)
        timer.start()

        answer = get(admin, path, token, "wait=10")

        assert answer.status_code == 200
        assert answer["Preference-Applied"] == "wait"
        assert 0.2 <= time.monotonic() - started < on_this_machine(8)
        timer.join()

    def test_the_wait_ends_after_the_requested_time(self, admin: APIClient) -> None:
        path, token = register(admin)
        started = time.monotonic()

        answer = get(admin, path, token, "wait=1")

        assert answer.status_code == 503
        assert 1 <= time.monotonic() - started < on_this_machine(5)

    def test_a_lost_notification_costs_little_time(
        self, admin: APIClient, monkeypatch: pytest.MonkeyPatch, worker: threading.Event
    ) -> None:
        monkeypatch.setattr(published.checkpoints_moved, "receivers", [])
        path, token = register(admin)
        timer = threading.Timer(0.1, worker.set)
        timer.start()
        started = time.monotonic()

        assert get(admin, path, token, "wait=10").status_code == 200

        assert time.monotonic() - started < on_this_machine(5)
        timer.join()

    def test_each_batch_sends_a_notification(self) -> None:
        listener = connections["read"].copy()
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {waiting.CHANNEL}")
        for _ in range(2):
            kit.registered_customer()

        live.run("customer_view")
        notifications = list(listener.connection.notifies(timeout=5, stop_after=1))
        listener.close()

        assert [notification.channel for notification in notifications] == [waiting.CHANNEL]

    def test_a_waiting_request_holds_no_connection(self, admin: APIClient) -> None:
        path, token = register(admin)
        catch_up()
        pids: list[int] = []
        answers: list[int] = []

        def read() -> None:
            client = APIClient()
            client.force_authenticate(User.objects.get())
            client.get(path)
            pids.extend(
                connection.connection.info.backend_pid
                for connection in connections.all(initialized_only=True)
            )
            Projection.objects.filter(name="customer_view").update(position=0)
            get(client, path, token, "wait=10")
            answers.append(1)
            connections.close_all()

        def are_open() -> int:
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [pids])
                return int(cursor.fetchone()[0])

        thread = threading.Thread(target=read)
        thread.start()
        wait_until(lambda: len(pids) >= 2 and not are_open(), missing="they stay open")
        assert not answers
        Projection.objects.filter(name="customer_view").update(position=1)
        thread.join()
        assert answers

    def test_one_thread_listens_for_all_requests(
        self, admin: APIClient, worker: threading.Event
    ) -> None:
        path, token = register(admin)
        answers = _start_requests(3, path, token, "wait=10")

        wait_until(lambda: len(_threads_named("waiting")) == 1, missing="nobody looks")
        worker.set()

        assert [answer.status_code for answer in answers()] == [200] * 3

    def test_waiting_slots_are_half_of_the_threads(
        self, admin: APIClient, worker: threading.Event
    ) -> None:
        path, token = register(admin)
        half = configured.WEB_THREADS // 2
        answers = _start_requests(half, path, token, "wait=10")
        wait_until(lambda: waiting_slots._slots._value == 0, missing="they don't wait")

        started = time.monotonic()
        refused = get(admin, path, token, "wait=10")

        assert (refused.status_code, refused["Retry-After"]) == (503, "1")
        assert time.monotonic() - started < on_this_machine(5)
        worker.set()
        assert [answer.status_code for answer in answers()] == [200] * half

    def test_the_listening_thread_survives_an_outage(
        self, admin: APIClient, worker: threading.Event
    ) -> None:
        path, token = register(admin)
        answers = _start_requests(1, path, token, "wait=10")
        wait_until(_other_pids, missing="nobody listens")
        listening = _other_pids()

        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid",
                           [listening])  # fmt: skip
        wait_until(lambda: set(_other_pids()) - set(listening), missing="nobody listens again")
        worker.set()

        assert [answer.status_code for answer in answers()] == [200]


def _threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def _other_pids() -> list[int]:
    """Return the pids of other connections to the read database: the listening thread's."""
    with connections["read"].cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def _start_requests(count: int, path: str, token: str, prefer: str) -> Any:
    """Start ``count`` requests; return a function that waits for their answers."""
    answers: list[Any] = []

    def read() -> None:
        client = APIClient()
        client.force_authenticate(User.objects.get())
        answers.append(get(client, path, token, prefer))
        connections.close_all()

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()

    def join() -> list[Any]:
        for thread in threads:
            thread.join()
        return answers

    return join
