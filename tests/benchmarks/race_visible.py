"""The race from commit to visible: how soon rows follow the commit of an order."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg

from tests.acceptance.service import Service, wait_until
from tests.benchmarks.contestant import LINES
from tests.benchmarks.http_contestant import HttpContestant, orders
from tests.benchmarks.measuring import Cost, Rounds, race
from tests.benchmarks.our_site import open_shop
from tests.benchmarks.peer import PeerSite
from tests.benchmarks.race_web import our_contestant, peer_contestant, web_sites
from tests.benchmarks.races import Setting

# The part of the highest rate at which orders arrive.
_PART = 0.6
# More than arrive while the slowest response takes.
_CLIENTS = 16
_SETTLE_SECONDS = 600

# Columns of the read models whose rows are awaited; a row has the position of its last event.
_TABLES = ("order_summary", "order_timeline", "stock_ledger")
_EVENTS_OF_AN_ORDER = 1 + LINES


class NoCommitTimesError(Exception):
    """The server doesn't record the time of each commit: `make bench` starts one that does."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def run_visible(setting: Setting) -> Rounds:
    """Place orders at 60 % of the rate that the slower contestant can take, and measure how long
    after the commit of an event its row is committed.
    """
    with web_sites(setting, workers=True) as (ours, peer, stack):
        if not records_commit_times(ours.write_url):
            raise NoCommitTimesError
        requests = orders("/api/v1/orders", *open_shop(ours))
        sides: list[tuple[HttpContestant, Callable[[], Lags]]] = [
            (our_contestant(stack, ours, requests, workers=True), lambda: OurLags(ours))
        ]
        if peer:
            sides.append(_queue(setting, stack, peer))
        number = setting.sizes.number
        rate = _PART * min(highest_rate(contestant, number) for contestant, _lags in sides)
        print(f"  {rate:.1f} orders a second", flush=True)
        paced = [Paced(contestant, lags, rate) for contestant, lags in sides]
        return race(paced, number, setting.sizes.rounds)


def records_commit_times(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SHOW track_commit_timestamp").fetchone() == ("on",)


def highest_rate(contestant: HttpContestant, number: int) -> float:
    """Return the orders a second, with all of their rows, that clients without a pause reach."""
    contestant.prepare(number)
    contestant.run(number)
    contestant.prepare(number)
    return 1 / contestant.run(number).clock


class Paced:
    """Sends the orders of a contestant at a steady rate, however long the responses take."""

    def __init__(self, contestant: HttpContestant, lags: "Callable[[], Lags]", rate: float) -> None:
        self.name = contestant.name
        self._contestant = contestant
        self._lags = lags
        self._rate = rate

    def prepare(self, number: int) -> None:
        self._contestant.prepare(number)

    def run(self, number: int) -> Cost:
        lags = self._lags()
        began = time.monotonic()
        with ThreadPoolExecutor(_CLIENTS) as threads:
            sent = []
            for turn, request in enumerate(self._contestant.waiting):
                time.sleep(max(0.0, began + turn / self._rate - time.monotonic()))
                sent.append(threads.submit(self._contestant.send, request))
            for response in sent:
                response.result()
        self._contestant.settle()
        seconds = sorted(lags.seconds())
        p99 = seconds[-1 - len(seconds) // 100]
        clock = time.monotonic() - began
        return Cost(clock=clock / number, own=0.0, p50=statistics.median(seconds), p99=p99)


class Lags:
    """The seconds from the commit of each event, from now on, to the commit of its row."""

    def seconds(self) -> list[float]:
        raise NotImplementedError


class OurLags(Lags):
    def __init__(self, ours: Service) -> None:
        self._ours = ours
        with ours.write() as write:
            [(self._after,)] = write.execute(
                "SELECT coalesce(max(position), 0) FROM event_position"
            )

    def seconds(self) -> list[float]:
        with self._ours.write() as write, self._ours.read() as read:
            committed: dict[int, Any] = dict(
                write.execute(
                    "SELECT event_position.position, pg_xact_commit_timestamp(event.xmin)"
                    " FROM event JOIN event_position ON event_position.event_id = event.id"
                    " WHERE position > %s",
                    [self._after],
                ).fetchall()
            )
            rows = [
                row
                for table in _TABLES
                for row in read.execute(
                    f"SELECT position, pg_xact_commit_timestamp(xmin) FROM {table}"
                    " WHERE position > %s",
                    [self._after],
                )
            ]
        return [(at - committed[position]).total_seconds() for position, at in rows]


class QueueLags(Lags):
    def __init__(self, url: str) -> None:
        self._url = url
        with psycopg.connect(url) as connection:
            [(self._after,)] = connection.execute("SELECT now()").fetchall()

    def seconds(self) -> list[float]:
        with psycopg.connect(self._url) as connection:
            rows = connection.execute(
                "SELECT pg_xact_commit_timestamp(projected.xmin)"
                " - pg_xact_commit_timestamp(placed.xmin)"
                " FROM shop_projected projected JOIN shop_order placed ON placed.id = order_id"
                " WHERE created_at > %s",
                [self._after],
            )
            return [lag.total_seconds() for (lag,) in rows]


def _queue(
    setting: Setting, stack: ExitStack, peer: PeerSite
) -> tuple[HttpContestant, Callable[[], Lags]]:
    peer.start_queue(setting.folder / "queue.log")
    stored = setting.sizes.orders
    count = stack.enter_context(psycopg.connect(peer.url, autocommit=True))

    def is_settled() -> bool:
        [(due, done)] = count.execute(
            "SELECT (SELECT count(*) FROM shop_order) - %s, count(*) FROM shop_projected", [stored]
        ).fetchall()
        return bool(due * _EVENTS_OF_AN_ORDER == done)

    def settle() -> None:
        wait_until(is_settled, seconds=_SETTLE_SECONDS, missing="tasks wait in the queue")

    requests = orders("/api/queued/", peer.customers, peer.products)
    contestant = peer_contestant(stack, peer, "django-q2", requests, settle=settle)
    return contestant, lambda: QueueLags(peer.url)
