"""The race of the service against itself: with few orders, and with many."""

from contextlib import ExitStack

from tests.acceptance.service import Service
from tests.benchmarks.http_contestant import lists, orders, reads
from tests.benchmarks.measuring import Contestant, Rounds, race
from tests.benchmarks.our_site import open_shop, running
from tests.benchmarks.race_web import LIST, our_contestant
from tests.benchmarks.races import Setting

FEW, MANY = "few", "many"
_FEW_ORDERS = 10_000


def run_growth(setting: Setting) -> Rounds:
    """Place, project, read and list with few stored orders, and with ``orders``."""
    result = Rounds()
    with ExitStack() as stack:
        sites = {
            name: _site(stack, setting, name, stored)
            for name, stored in (
                (FEW, min(_FEW_ORDERS, max(1, setting.sizes.orders // 10))),
                (MANY, setting.sizes.orders),
            )
        }
        shops = {name: open_shop(site) for name, site in sites.items()}
        for site in sites.values():
            site.settle(seconds=600)
        for work in ("place", "read", "list"):
            contestants: list[Contestant] = []
            for name, site in sites.items():
                if work == "place":
                    requests = orders("/api/v1/orders", *shops[name])
                elif work == "read":
                    keys = site.read_rows("SELECT id FROM order_summary LIMIT 300")
                    requests = reads("/api/v1/orders/{}", [key for (key,) in keys])
                else:
                    requests = lists(LIST)
                contestant = our_contestant(stack, site, requests, workers=work == "place")
                contestant.name = f"{work}, {name}"
                contestants.append(contestant)
            measured = race(contestants, setting.sizes.number, setting.sizes.rounds)
            result.costs |= measured.costs
    return result


def _site(stack: ExitStack, setting: Setting, name: str, stored: int) -> Service:
    site = stack.enter_context(running(setting, name=name, orders=stored))
    site.settle()
    return site
