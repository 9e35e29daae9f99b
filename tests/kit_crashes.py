"""Crashes at every statement, COPY and COMMIT of an act: enumerated, not sampled.

Durable data change at COMMIT only, so that each real moment of death is like one of these points.
Either the process dies, or the connection is lost and the process goes on. The answer to a COMMIT
that was done is lost at the point after it.
"""

import os
import socket
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, ClassVar

import psycopg
from django.db import InterfaceError, OperationalError, connections

from tests.kit_statements import Session, close_all, observer, watched

# Prepares one act, and returns it with the check that follows its repetition.
Prepare = Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]

# Far above the number of statements of any act.
MOST_POINTS = 2_000


class Crash(BaseException):
    """A power cut. Not an Exception, so that no code handles it."""


class Death:
    """Strikes at the point number ``number`` of those whose names contain ``at``.

    ``point`` names the point of the strike.
    """

    of: ClassVar[str]

    def __init__(self, number: int, *, at: str = "") -> None:
        self.number = number
        self.at = at
        self.passed = 0
        self.point = ""

    def before(self, session: Session, statement: str) -> None:
        self._reach(f"before {statement}", session, is_done=False)

    def after(self, session: Session, statement: str) -> None:
        self._reach(f"after {statement}", session, is_done=True)

    def _reach(self, point: str, session: Session, *, is_done: bool) -> None:
        if self.point:
            self._go_on()
            return
        self.passed += self.at in point
        if self.at in point and self.passed == self.number:
            self.point = f"{self.of} dies {point}"
            self._strike(session, is_done=is_done)

    def _strike(self, session: Session, *, is_done: bool) -> None:
        raise NotImplementedError

    def _go_on(self) -> None:
        """Reach another point after the strike."""


class ProcessDeath(Death):
    """The process dies: it does nothing more."""

    of = "the process"

    def _strike(self, session: Session, *, is_done: bool) -> None:
        for connection in connections.all(initialized_only=True):
            if connection.connection is not None:
                # The socket first: an exception alone would let Django clean up.
                _cut(connection.connection)
                connection.close()
        raise Crash(self.point)

    def _go_on(self) -> None:
        raise Crash("a dead process does nothing more")


class LostConnection(Death):
    """The connection is lost: the statement fails, or its answer is lost."""

    of = "the connection"

    def _strike(self, session: Session, *, is_done: bool) -> None:
        _cut(session)
        if is_done:
            raise psycopg.OperationalError("the answer is lost")


DEATHS: tuple[type[Death], ...] = (ProcessDeath, LostConnection)


def _cut(session: Session) -> None:
    with socket.socket(fileno=os.dup(session.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def crash_everywhere(
    prepare: Prepare, death_type: type[Death], *, pace: int = 1, at: str = ""
) -> list[str]:
    """Crash an act of ``prepare`` at each of its points, repeat it, and check; return the points.

    ``pace`` is the number of points from one crash to the next, 1 for all points; ``at`` restricts
    them to those whose names contain it.
    """
    points: list[str] = []
    with observer() as session:
        for number in _numbers(pace):
            act, check = prepare()
            death = death_type(number, at=at)
            act_until(death, act, session)
            try:
                if death.point:
                    act()
                check()
            except BaseException as error:
                error.add_note(death.point or "without a crash")
                raise
            if not death.point:
                print(f"{len(points)} crashes, {death.passed} points")
                return points
            points.append(death.point)
    raise AssertionError("the act has no end")


def _numbers(pace: int) -> Iterator[int]:
    for number in count(1, pace):
        if number > MOST_POINTS:
            return
        yield number


def act_until(death: Death, act: Callable[[], Any], session: Session) -> None:
    """Act on sessions that die at the point of ``death``, if the act gets there."""
    for connection in connections.all():
        connection.ensure_connection()
    try:
        with watched(death):
            act()
    except (Crash, OperationalError, InterfaceError):
        assert death.point, "no crash, and an error"
    finally:
        close_all(session)
