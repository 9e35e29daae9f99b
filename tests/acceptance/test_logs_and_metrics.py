"""The logs, as JSON, and the metrics of a running service."""

import json
import os
import re
import signal
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.version import VERSION
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop


class Logs:
    """The logs of a service from now on."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._former_length = {name: len(service.log(name)) for name in ("web", "workers")}

    def text(self, name: str) -> str:
        return self._service.log(name)[self._former_length[name] :]

    def records(self, name: str) -> list[dict[str, Any]]:
        """Return the records of a log, one a line."""
        return [json.loads(line) for line in self.text(name).splitlines()]


@pytest.fixture
def logs(service: Service) -> Logs:
    return Logs(service)


def metrics(service: Service) -> dict[tuple[str, ...], float]:
    text = service.client("admin").get(f"{service.url}/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_request_id_finds_a_command_in_the_logs(service: Service, shop: Shop, logs: Logs) -> None:
    customer, product = shop.customer(), shop.product()
    client = service.client("admin", **{"Request-Id": "follow-me"})
    order = shop.order(customer, product)
    placed = client.post("/orders", json=shop.body(customer, product))
    refused = client.post(f"/orders/{order}/status", json={"status": "delivered"})
    client.get("/orders%0A%1B%E2%80%A8?customer=secret")
    service.settle()

    assert (placed.status_code, refused.status_code) == (201, 409)
    mine = [line for line in logs.records("web") if line.get("request_id") == "follow-me"]
    commands = [line for line in mine if line["logger"] == "ordering_write.bus.bus"]
    requests = [line for line in mine if line["logger"] == "config.http.middleware"]
    assert [(line["type"], line["outcome"], line["reason"]) for line in commands] == [
        ("CreateOrder", "accepted", ""),
        ("UpdateOrderStatus", "refused", "InvalidTransitionError"),
    ]
    with service.write() as connection:
        [(command_id, correlation_id)] = connection.execute(
            "SELECT command_id, correlation_id FROM event WHERE event_id = %s",
            [commands[0]["event_id"]],
        )
    assert commands[0]["command_id"] == str(command_id)
    assert commands[0]["correlation_id"] == str(correlation_id)
    assert commands[0]["actor"].startswith("user:")
    assert [(line["method"], line["status"]) for line in requests] == [
        ("POST", 201),
        ("POST", 409),
        ("GET", 404),
    ]
    assert {f"user:{line['user_id']}" for line in requests[:2]} == {commands[0]["actor"]}
    assert commands[0]["correlation_id"] == requests[0]["correlation_id"]
    assert requests[2]["path"] == "/api/v1/orders\n\x1b\u2028"
    # The workers log every batch in the same format.
    assert any("events up to" in line["message"] for line in logs.records("workers"))


def test_no_log_holds_tokens_or_people(service: Service, shop: Shop, logs: Logs) -> None:
    name, email = "Robin Unmistakable", "robin.unmistakable@example.com"
    created = shop.admin.post("/customers", json={"name": name, "email": email})
    again = shop.admin.post("/customers", json={"name": name, "email": email})
    service.settle()

    assert (created.status_code, again.status_code) == (201, 409)
    text = logs.text("web") + logs.text("workers")
    assert "DuplicateEmailError" in text
    for secret in ("nmistakable", service.tokens["admin"], service.environ["SECRET_KEY"]):
        assert secret not in text


def test_every_line_of_killed_and_failing_programs_is_a_record(
    service: Service, logs: Logs
) -> None:
    with service.write() as connection:
        # The view fails, and its traceback is logged.
        connection.execute("ALTER TABLE alarm RENAME TO hidden")
        failed = service.client("admin").get(f"{service.url}/admin/system/")
        connection.execute("ALTER TABLE hidden RENAME TO alarm")
    os.kill(psutil.Process(service.web.pid).children()[0].pid, signal.SIGKILL)
    for process in psutil.Process(service.workers.pid).children():
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: "are started again" in logs.text("workers"), missing="no new workers")
    wait_until(lambda: "was sent SIG" in logs.text("web"), missing=logs.text("web")[-2000:])
    wait_until(service.is_ready)

    assert failed.status_code in (302, 403, 500)
    assert "ERROR" in {line["level"] for line in logs.records("web")}
    # All lines from the start of the programs on.
    for name in ("web", "workers"):
        records = [json.loads(line) for line in service.log(name).splitlines()]
        assert all(record["time"] for record in records)
        assert any(
            re.fullmatch(rf"The .* of version {re.escape(VERSION)} ha(s|ve) started\.", message)
            for message in (record["message"] for record in records)
        )


def accepted(service: Service, command_type: str) -> float:
    """Return the number of accepted commands of this type, from the metrics."""
    key = ("orders_command_seconds_count", "accepted", "", command_type)
    return metrics(service).get(key, 0)


# The commands that these tests count are sent by no other test of this service: a killed web
# process may have left some uncounted.
def test_command_counts_survive_the_web_workers(service: Service, shop: Shop) -> None:
    product = shop.product()
    for number in range(5):
        shop.admin.put(f"/inventory/{product}/name", json={"name": f"Lamp {number}"})
    wait_until(
        lambda: accepted(service, "RenameStockItem") == 5, missing="the commands aren't counted"
    )
    for process in psutil.Process(service.web.pid).children():
        os.kill(process.pid, signal.SIGKILL)
    wait_until(service.is_ready)
    service.settle()

    samples = metrics(service)
    assert accepted(service, "RenameStockItem") == 5
    assert samples["orders_workers",] == 1
    head = samples["orders_events_appended_total",]
    assert samples["orders_projection_position", "order_view"] == head > 0
    assert samples["orders_projection_lag_seconds", "order_view"] == 0


def test_a_management_command_counts_its_commands_at_its_end(service: Service, shop: Shop) -> None:
    product = shop.product()
    script = (
        "from uuid import UUID\n"
        "from ordering_write.bus import get_command_bus\n"
        "from ordering_write.domain.commands import DiscontinueStockItem as D\n"
        f"get_command_bus().dispatch(D(user_id=UUID(int=1), product_id=UUID({product!r})))\n"
    )
    service.manage("shell", "-v", "0", "-c", script)

    assert accepted(service, "DiscontinueStockItem") == 1
