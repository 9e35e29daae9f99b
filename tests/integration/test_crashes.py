"""A crash at every statement of a command, and before and after COMMIT: once it is repeated, it has
taken effect exactly once.

What is durable changes at COMMIT only, so each real moment of death is like one of these points.
A crash closes the socket first: an exception alone would let Django tidy up, and a process that
is dead can't. COMMIT is not a statement to Django's wrappers, so it is wrapped by itself.
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
    """A power cut; no BaseException, so that nothing swallows it."""


class Death:
    """Dies at the point number ``at``; ``point`` says where that was."""

    def __init__(self, at: int) -> None:
        self.at = at
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
        if self.passed == self.at:
            self.point = point
            cut_the_wire()
            raise Crash(point)


def cut_the_wire() -> None:
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
    # Nothing gets through any more; this is for Django, which would go on with the transaction.
    connection.close()


def run_until(death: Death, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carry out ``command`` on a connection that dies at its point, if it gets there."""
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


def sweep(prepare: Callable[[], Command], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Crash a command that ``prepare`` makes at each of its points, and repeat it; the points."""
    points: list[str] = []
    for number in range(1, MOST_POINTS):
        command = prepare()
        death = Death(number)
        run_until(death, command, monkeypatch)
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


def check_all_is_there(points: list[str]) -> None:
    assert "before COMMIT" in points
    assert "after COMMIT" in points
    assert any("command_record" in point for point in points)
    check_rows_equal_log()
    log.sequence()
    assert len(log.read_log(0, 100_000)) == OutboxEvent.objects.count() == log.head()


def test_placing_an_order(committed, monkeypatch):
    customer = registered_customer()
    lamp, chair = registered_product(1000), registered_product(1000)

    points = sweep(
        lambda: create_order(customer, (lamp, 1), (chair, 2), note="Ring twice"), monkeypatch
    )

    check_all_is_there(points)
    # One more than the crashes: the run that got through.
    lamp.refresh_from_db()
    chair.refresh_from_db()
    assert (lamp.reserved, chair.reserved) == (len(points) + 1, 2 * (len(points) + 1))


def test_cancelling_an_order(committed, monkeypatch):
    customer, product = registered_customer(), registered_product(1000)

    points = sweep(lambda: cancel(placed_order(customer, (product, 2))), monkeypatch)

    check_all_is_there(points)
    product.refresh_from_db()
    assert (product.on_hand, product.reserved) == (1000, 0)
