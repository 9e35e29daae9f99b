"""A crash at every statement of a command, and before and after COMMIT: a repeated command takes
effect exactly once.

Durable data change at COMMIT only, so that each real moment of death is like one of these points.
A crash closes the socket first: an exception alone would let Django clean up, which a dead process
can't. COMMIT is no statement to Django's wrappers, so it has a wrapper of its own.
"""

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from ordering_write import log
from ordering_write.domain.commands import Command
from ordering_write.models import CommandRecord, EventPending, OutboxEvent
from tests.kit import (
    cancel,
    check_rows_equal_log,
    create_order,
    dispatch,
    placed_order,
    registered_customer,
    registered_product,
)

# Far above the number of statements of any command.
MOST_POINTS = 200


class Crash(BaseException):
    """A power cut. Not an Exception, so that no code handles it."""


class Death:
    """Dies at the point number ``number``; ``point`` names that point."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.passed = 0
        self.point = ""

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ):
        self.reach(f"before {sql[:60]}")
        result = execute(sql, params, many, context)
        self.reach(f"after {sql[:60]}")
        return result

    def reach(self, point: str) -> None:
        if self.point:
            raise Crash("a dead process does nothing more")
        self.passed += 1
        if self.passed == self.number:
            self.point = point
            cut_connection()
            raise Crash(point)


def cut_connection() -> None:
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
    # Otherwise Django would continue the transaction.
    connection.close()


def dispatch_until_death(death: Death, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dispatch ``command`` on a connection that dies at its point, if it gets there."""
    connection.ensure_connection()
    commit = connection._commit  # type: ignore[attr-defined]

    def wrapped() -> None:
        death.reach("before COMMIT")
        commit()
        death.reach("after COMMIT")

    with monkeypatch.context() as patch, connection.execute_wrapper(death):
        patch.setattr(connection, "_commit", wrapped)
        try:
            dispatch(command)
        except Crash:
            assert death.point
        finally:
            connection.close()


def crash_everywhere(prepare: Callable[[], Command], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Crash a command of ``prepare`` at each of its points and repeat it; return the points."""
    points: list[str] = []
    for number in range(1, MOST_POINTS):
        command = prepare()
        death = Death(number)
        dispatch_until_death(death, command, monkeypatch)
        if not death.point:
            return points
        points.append(death.point)
        first = list(OutboxEvent.objects.filter(command_id=command.command_id))
        again = dispatch(command)
        assert again.replayed == bool(first), death.point
        check_effect(command, len(again))
    raise AssertionError("the command has no end")


def check_effect(command: Command, events: int) -> None:
    assert CommandRecord.objects.filter(pk=command.command_id).count() == 1
    stored = OutboxEvent.objects.filter(command_id=command.command_id)
    assert stored.count() == events
    [commit_id] = stored.values_list("commit_id", flat=True).distinct()
    assert EventPending.objects.filter(commit_id=commit_id).count() == 1


def check_log_and_rows(points: list[str]) -> None:
    assert "before COMMIT" in points
    assert "after COMMIT" in points
    assert any("command_record" in point for point in points)
    check_rows_equal_log()
    log.sequence()
    assert len(log.read_log(0, 100_000)) == OutboxEvent.objects.count() == log.head()


def test_placing_an_order_survives_a_crash_at_any_statement(committed, monkeypatch):
    customer = registered_customer()
    lamp, chair = registered_product(1000), registered_product(1000)

    points = crash_everywhere(
        lambda: create_order(customer, (lamp, 1), (chair, 2), note="Ring twice"), monkeypatch
    )

    check_log_and_rows(points)
    # Each crash adds one order, and the last run, without a crash, adds another.
    lamp.refresh_from_db()
    chair.refresh_from_db()
    assert (lamp.reserved, chair.reserved) == (len(points) + 1, 2 * (len(points) + 1))


def test_cancelling_an_order_survives_a_crash_at_any_statement(committed, monkeypatch):
    customer, product = registered_customer(), registered_product(1000)

    points = crash_everywhere(lambda: cancel(placed_order(customer, (product, 2))), monkeypatch)

    check_log_and_rows(points)
    product.refresh_from_db()
    assert (product.on_hand, product.reserved) == (1000, 0)
