"""The races over HTTP: reading, listing and placing orders."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg

from tests.acceptance.service import Service
from tests.benchmarks.http_contestant import HttpContestant, Request, lists, orders, reads
from tests.benchmarks.measuring import Rounds, race
from tests.benchmarks.our_site import open_shop, running
from tests.benchmarks.peer import PeerSite
from tests.benchmarks.processes import backends_of
from tests.benchmarks.races import OURS, Setting

# Most of the stored orders match.
LIST = "/api/v1/orders?status=confirmed&page_size=50"


def run_read(setting: Setting) -> Rounds:
    """Read one order with its lines over HTTP."""
    with web_sites(setting) as (ours, peer, stack):
        keys = [key for (key,) in ours.read_rows("SELECT id FROM order_summary LIMIT 300")]
        contestants = [our_contestant(stack, ours, reads("/api/v1/orders/{}", keys))]
        if peer:
            keys = _rows(peer.url, "SELECT id FROM shop_order LIMIT 300")
            contestants.append(peer_contestant(stack, peer, "drf", reads("/api/orders/{}/", keys)))
        return race(contestants, setting.sizes.number, setting.sizes.rounds)


def run_list(setting: Setting) -> Rounds:
    """List 50 orders by a filter that matches most."""
    with web_sites(setting) as (ours, peer, stack):
        contestants = [our_contestant(stack, ours, lists(LIST))]
        if peer:
            for name, path in {"drf": "orders", "flat": "flat"}.items():
                requests = lists(f"/api/{path}/?status=confirmed")
                contestants.append(peer_contestant(stack, peer, name, requests))
        return race(contestants, setting.sizes.number, setting.sizes.rounds)


def run_post(setting: Setting) -> Rounds:
    """Place orders of three lines over HTTP."""
    with web_sites(setting) as (ours, peer, stack):
        contestants = [our_contestant(stack, ours, orders("/api/v1/orders", *open_shop(ours)))]
        if peer:
            requests = orders("/api/orders/", peer.customers, peer.products)
            contestants.append(peer_contestant(stack, peer, "drf", requests))
        return race(contestants, setting.sizes.number, setting.sizes.rounds)


def run_whole(setting: Setting) -> Rounds:
    """Place orders over HTTP, and wait until all projections have them."""
    with web_sites(setting, workers=True) as (ours, peer, stack):
        requests = orders("/api/v1/orders", *open_shop(ours))
        contestants = [our_contestant(stack, ours, requests, workers=True)]
        if peer:
            requests = orders("/api/orders/", peer.customers, peer.products)
            contestants.append(peer_contestant(stack, peer, "drf", requests))
        return race(contestants, setting.sizes.number, setting.sizes.rounds)


@contextmanager
def web_sites(
    setting: Setting, *, workers: bool = False
) -> Iterator[tuple[Service, PeerSite | None, ExitStack]]:
    """Yield the service and the peer, both running and filled; the service without its workers
    unless ``workers``.
    """
    stored = setting.sizes.orders
    with ExitStack() as stack:
        peer = stack.enter_context(PeerSite(orders=stored)) if setting.sizes.against else None
        ours = stack.enter_context(running(setting, orders=stored))
        ours.settle()
        if not (workers or setting.service):
            ours.stop_workers()
        if peer:
            peer.start_web(setting.folder / "peer.log")
        yield ours, peer, stack


def our_contestant(
    stack: ExitStack, ours: Service, requests: Iterator[Request], *, workers: bool = False
) -> HttpContestant:
    """Return the service as a contestant; with ``workers``, each run waits for the projections."""
    contestant = HttpContestant(
        OURS,
        ours.url.removeprefix("http://"),
        ours.tokens["admin"],
        requests,
        web=ours.web.pid,
        backends=backends_of(ours.write_url, ours.read_url),
        workers=ours.workers.pid if workers else None,
        settle=ours.settle if workers else lambda: None,
    )
    stack.callback(contestant.close)
    return contestant


def peer_contestant(
    stack: ExitStack,
    peer: PeerSite,
    name: str,
    requests: Iterator[Request],
    settle: Callable[[], object] = lambda: None,
) -> HttpContestant:
    """Return the peer as a contestant; each run waits for ``settle``."""
    contestant = HttpContestant(
        name,
        peer.address,
        peer.token,
        requests,
        web=peer.web_pid,
        backends=backends_of(peer.url),
        settle=settle,
    )
    stack.callback(contestant.close)
    return contestant


def _rows(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return [value for (value,) in connection.execute(statement).fetchall()]
