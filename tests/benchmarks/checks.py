"""Checks of the running service with fixed bounds: memory, and the time until it is ready."""

import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress

import httpx
import psutil

from tests.acceptance.service import ROOT, Service, plain_environ, wait_until
from tests.benchmarks.http_contestant import Request, lists, orders, reads
from tests.benchmarks.log import make_log
from tests.benchmarks.measuring import family
from tests.benchmarks.our_site import open_shop, running
from tests.benchmarks.race_web import LIST, our_contestant
from tests.benchmarks.races import Figure, Setting
from tests.own_server import new_data_dir

# Requests that are made at once.
_BATCH = 500
_SETTLE_SECONDS = 3 * 3600
_READY_SECONDS = 600


def memory(setting: Setting) -> list[Figure]:
    """Project the events of ``orders`` orders by all projections, send ``number`` requests, and
    return the resident memory of the largest web and worker process.
    """
    with running(setting, orders=0) as site, ExitStack() as stack:
        if not setting.service:
            with site.write() as connection:
                make_log(connection, setting.sizes.orders)
        site.settle(seconds=_SETTLE_SECONDS)
        contestant = our_contestant(stack, site, _mixed(site))
        for start in range(0, setting.sizes.number, _BATCH):
            number = min(_BATCH, setting.sizes.number - start)
            contestant.prepare(number)
            contestant.run(number)
        site.settle(seconds=_SETTLE_SECONDS)
        return [
            _figure(title, "MB", "at most 150", [_largest(pid)])
            for title, pid in (
                ("a web server process", site.web.pid),
                ("a worker process", site.workers.pid),
            )
        ]


def ready(setting: Setting) -> list[Figure]:
    """Start `make run` where demo data are there; return the seconds until /readyz is 200."""
    with new_data_dir() as folder:
        environ = plain_environ() | {"DATA_DIR": str(folder), "PORT": "8164"}
        # The first start makes the data.
        seconds = [_start(environ) for _ in range(1 + setting.sizes.rounds)][1:]
    return [_figure("start to ready", "seconds", "at most 4", seconds)]


def _mixed(site: Service) -> Iterator[Request]:
    """Yield six reads and three lists to each new order."""
    keys = [key for (key,) in site.read_rows("SELECT id FROM order_summary LIMIT 300")]
    ways = (
        reads("/api/v1/orders/{}", keys),
        lists(LIST),
        orders("/api/v1/orders", *open_shop(site)),
    )
    dice = random.Random(5)
    while True:
        [way] = dice.choices(ways, weights=(6, 3, 1))
        yield next(way)


def _largest(pid: int) -> float:
    """Return the resident memory of the largest of a process and its descendants, in MB."""
    return max(psutil.Process(member).memory_info().rss for member in family(pid)) / 1e6


def _start(environ: Mapping[str, str]) -> float:
    """Start `make run`, stop it when it is ready, and return the seconds that it took."""
    began = time.perf_counter()
    program = subprocess.Popen(
        [sys.executable, "manage.py", "run"],
        env=environ,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{environ['PORT']}/readyz"
        wait_until(lambda: _is_ready(url), seconds=_READY_SECONDS, missing="it isn't ready")
        return time.perf_counter() - began
    finally:
        program.send_signal(signal.SIGINT)
        program.wait()


def _is_ready(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url).status_code == 200
    return False


def _figure(title: str, measure: str, bound: str, values: list[float]) -> Figure:
    low, median, high = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    )
    return Figure(title=title, measure=measure, median=median, low=low, high=high, bound=bound)
