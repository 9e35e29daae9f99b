"""The race of a rebuild: the read model of orders, from the whole log."""

import resource
import subprocess
import sys
import time
from contextlib import ExitStack

import psycopg

from ordering_read.engine import generations
from tests.acceptance.service import ROOT
from tests.benchmarks.log import EVENTS_OF_AN_ORDER, make_log
from tests.benchmarks.measuring import Backends, Contestant, Cost, Rounds, race
from tests.benchmarks.our_site import OurDatabases
from tests.benchmarks.peer import PeerSite
from tests.benchmarks.processes import ProcessContestant, backends_of
from tests.benchmarks.races import OURS, Setting
from tests.benchmarks.sql_fold import SqlFold, copy_log

# At most so many orders for the library, which applies events one by one.
_ORDERS_OF_LIBRARY = 1_000


def run_rebuild(setting: Setting) -> Rounds:
    """Rebuild from the events of ``orders`` orders; the costs are those of one event."""
    stored = setting.sizes.orders
    with ExitStack() as stack:
        site = OurDatabases("write", "read", like=setting.like)
        stack.callback(site.drop)
        write_url, read_url = site.urls
        with psycopg.connect(write_url, autocommit=True) as connection:
            make_log(connection, stored)
        copy_log(write_url, read_url)
        ours = _Rebuild(site, stored * EVENTS_OF_AN_ORDER)
        in_sql = _InSql(read_url, stored * EVENTS_OF_AN_ORDER)
        stack.callback(ours.close)
        stack.callback(in_sql.close)
        contestants: list[Contestant] = [ours, in_sql]
        if setting.sizes.against:
            contestants.append(_runner(stack, min(stored, _ORDERS_OF_LIBRARY)))
        # No warm-up: each round of ours is a process of its own.
        rounds = race(contestants, 1, setting.sizes.rounds, warm_up=0)
        ours.prepare(1)
        in_sql.check_equal()
        return rounds


class _Rebuild:
    """``manage.py rebuild_projections``, from its start to its exit, with its comparison."""

    name = OURS

    def __init__(self, site: OurDatabases, events: int) -> None:
        self._site = site
        self._environ = site.environ()
        self._events = events
        # Parallel workers and the two databases of the processes that fill.
        self._backends = backends_of(*site.urls)
        self._is_filled = False

    def prepare(self, _number: int) -> None:
        """Discard the rows of the round before."""
        if self._is_filled:
            with self._site.connected():
                generations.discard_former("order_view")
            with psycopg.connect(self._site.urls[1], autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")

    def run(self, _number: int) -> Cost:
        before = _seconds_of_children()
        with self._backends:
            began = time.perf_counter()
            self._rebuild()
            clock = time.perf_counter() - began
        own = _seconds_of_children() - before
        return _cost_of_event(self._events, clock, own, self._backends)

    def _rebuild(self) -> None:
        command = [sys.executable, "manage.py", "rebuild_projections", "order_view"]
        done = subprocess.run(command, env=self._environ, cwd=ROOT, stdout=subprocess.PIPE)
        assert done.returncode == 0
        # The first rebuild retires an empty generation.
        self._is_filled = True

    def close(self) -> None:
        self._backends.close()


class _InSql:
    """One statement, INSERT … SELECT … GROUP BY, into the same tables."""

    name = "sql"

    def __init__(self, read_url: str, events: int) -> None:
        self._events = events
        self._fold = SqlFold(read_url)
        self._backends = backends_of(read_url)
        self.check_equal = self._fold.check_equal

    def prepare(self, _number: int) -> None:
        self._fold.delete_rows()

    def run(self, _number: int) -> Cost:
        with self._backends:
            began = time.perf_counter()
            self._fold.run()
            clock = time.perf_counter() - began
        return _cost_of_event(self._events, clock, 0.0, self._backends)

    def close(self) -> None:
        self._fold.close()
        self._backends.close()


class _Runner:
    """The library's runner, in its process, on its events."""

    name = "eventsourcing"

    def __init__(self, contestant: ProcessContestant, events: int) -> None:
        self._contestant = contestant
        self._events = events

    def prepare(self, _number: int) -> None:
        self._contestant.prepare(self._events)

    def run(self, _number: int) -> Cost:
        return self._contestant.run(self._events)


def _runner(stack: ExitStack, stored: int) -> _Runner:
    peer = stack.enter_context(PeerSite())
    contestant = peer.contestant(_Runner.name, "project_events", str(stored), url=peer.events_url)
    stack.callback(contestant.close)
    return _Runner(contestant, stored * EVENTS_OF_AN_ORDER)


def _seconds_of_children() -> float:
    """Return the processor time of ended children, with their own children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cost_of_event(events: int, clock: float, own: float, backends: Backends) -> Cost:
    return Cost(clock=clock / events, own=own / events, database=backends.seconds / events)
