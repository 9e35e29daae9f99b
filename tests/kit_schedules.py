"""All schedules of two parallel calls that switch between their statements.

A scheduler lets one statement through at a time. It changes the thread where a call ends or waits
for a lock, and at up to so many chosen steps more: the preemptions.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum, auto
from types import TracebackType
from typing import Any, NamedTuple, Self

from django.db import connection, connections

from tests.kit_statements import Session, observer, watched
from tests.patience import PATIENCE_SECONDS

# A thread that reaches no next statement for so long may wait for a lock.
_SECONDS_BEFORE_LOOK = 0.003


class State(Enum):
    """The state of one of the two calls."""

    READY = auto()
    RUNNING = auto()
    BLOCKED = auto()
    OVER = auto()


class Outcome(NamedTuple):
    """The results or errors of both calls, and the steps at which a preemption was possible."""

    results: tuple[Any, Any]
    preemptible: list[int]


class _Player:
    """A thread with a session of its own, which makes one of the calls."""

    def __init__(self, change: threading.Condition) -> None:
        self._change = change
        self._thread = ThreadPoolExecutor(1)
        self.state = State.OVER
        self.ident, self.pid = self._thread.submit(self._begin).result()
        self.result: Future[Any]

    def _begin(self) -> tuple[int, int]:
        connection.ensure_connection()
        return threading.get_ident(), connection.connection.info.backend_pid

    def start(self, call: Callable[[], Any]) -> None:
        self.state = State.RUNNING
        self.result = self._thread.submit(self._make, call)

    def _make(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            return error
        finally:
            self._set(State.OVER)

    def wait_for_turn(self) -> None:
        """Wait before a statement, in the thread of this player."""
        self._set(State.READY)
        with self._change:
            assert self._change.wait_for(lambda: self.state is State.RUNNING, PATIENCE_SECONDS)

    def _set(self, state: State) -> None:
        with self._change:
            self.state = state
            self._change.notify_all()

    def go(self) -> None:
        """Let one statement through."""
        self._set(State.RUNNING)

    def close(self) -> None:
        self._thread.submit(connections.close_all).result()
        self._thread.shutdown()


class Stage:
    """Makes two calls in parallel, by one schedule after the other."""

    def __enter__(self) -> Self:
        self._change = threading.Condition()
        self._players = [_Player(self._change) for _ in range(2)]
        self._observing = observer()
        self._session: Session = self._observing.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for player in self._players:
            player.close()
        self._observing.__exit__(None, None, None)

    # --- As a watch ----------------------------------------------------------------------------
    def before(self, _session: Session, _statement: str) -> None:
        for player in self._players:
            if player.ident == threading.get_ident():
                player.wait_for_turn()

    def after(self, _session: Session, _statement: str) -> None:
        """Go on to the next statement."""

    # --- Schedules -----------------------------------------------------------------------------
    def schedules(
        self, prepare: Callable[[], Sequence[Callable[[], Any]]], *, preemptions: int
    ) -> Iterator[tuple[tuple[int, ...], Outcome]]:
        """Yield each schedule with its outcome: the first thread, and the preempted steps.

        ``prepare`` prepares the same two calls each time. The first two schedules are serial, if
        no call waits for the other one.
        """
        waiting: list[tuple[int, ...]] = [(0,), (1,)]
        while waiting:
            first, *steps = schedule = waiting.pop(0)
            outcome = self._play(prepare(), first, steps)
            yield schedule, outcome
            if len(steps) < preemptions:
                last = steps[-1] if steps else -1
                waiting += [(*schedule, step) for step in outcome.preemptible if step > last]

    def _play(self, calls: Sequence[Callable[[], Any]], first: int, steps: list[int]) -> Outcome:
        preemptible = []
        with watched(self):
            for player, call in zip(self._players, calls, strict=True):
                player.start(call)
            self._settle()
            current, other = self._players[first], self._players[1 - first]
            step = 0
            while not all(player.state is State.OVER for player in self._players):
                if current.state is State.READY and other.state is State.READY and step:
                    preemptible.append(step)
                    if step in steps:
                        current, other = other, current
                elif current.state is not State.READY:
                    current, other = other, current
                if current.state is State.READY:
                    current.go()
                    step += 1
                self._settle()
        left, right = (player.result.result() for player in self._players)
        return Outcome((left, right), preemptible)

    def _settle(self) -> None:
        """Wait until each thread is over, before a statement, or waits for a lock."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self._change:
                if self._change.wait_for(self._is_settled, _SECONDS_BEFORE_LOOK):
                    return
            for player in self._players:
                if player.state in (State.RUNNING, State.BLOCKED):
                    self._look(player)
            assert time.monotonic() < deadline, "a thread neither runs nor waits"
            # Two threads that wait for each other: the server ends one of them.
            if [player.state for player in self._players].count(State.BLOCKED) < 2:
                with self._change:
                    if self._is_settled(blocked=True):
                        return

    def _is_settled(self, *, blocked: bool = False) -> bool:
        settled = (State.READY, State.OVER, State.BLOCKED) if blocked else (State.READY, State.OVER)
        return all(player.state in settled for player in self._players)

    def _look(self, player: _Player) -> None:
        row = self._session.execute("SELECT pg_blocking_pids(%s)", [player.pid]).fetchone()
        is_blocked = bool(row and row[0])
        with self._change:
            if player.state in (State.RUNNING, State.BLOCKED):
                player.state = State.BLOCKED if is_blocked else State.RUNNING
