"""Measures the pages that people work with, in a large shop, beside a stock Django admin.

    python -m tests.benchmarks.screens [--orders ORDERS] [--shop FOLDER]

It makes a shop with 100,000 orders (in FOLDER, where a later run finds it, or for this run only),
and fetches each page seven times: processor time of the process and of its PostgreSQL backends,
time by the clock, size of the answer as browsers get it, and statements, also of a process that has
just started. The pages of orders alternate with those of a stock Django admin on the same rows. The
figures are written to ``screens.json`` beside this file, and as tables to the standard output.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import django

from config.databases.embedded import EmbeddedServer
from config.processes import collect_less
from tests.benchmarks.meter import Cost
from tests.own_server import new_data_dir

ROUNDS = 7
# The most milliseconds of processor time, and the most statements, that a page may take.
MOST_MILLISECONDS = 150
MOST_STATEMENTS = 10
RESULTS = Path(__file__).with_suffix(".json")


class Row(NamedTuple):
    """The figures of a page: milliseconds as quartiles, bytes, statements, ratios as quartiles."""

    name: str
    processor: tuple[float, float, float]
    clock: tuple[float, float, float]
    size: int
    statements: int
    cold_statements: int
    peer: tuple[float, float, float] | None
    ratio: tuple[float, float, float] | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--shop", type=Path, help="A folder for the shop, which stays.")
    parser.add_argument("--only", default="", help="The pages whose names contain this text.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    with _folder(arguments.shop) as folder:
        is_new = not (folder / "made").exists()
        EmbeddedServer(folder).start()
        os.environ |= {
            "DATA_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "RATE_LIMIT_READS": "1000000000",
        }
        os.environ.pop("DATABASE_URL", None)
        django.setup()
        # As in the web server.
        collect_less()
        from tests.benchmarks import large_shop

        if is_new:
            large_shop.make(arguments.orders)
            (folder / "made").touch()
        rows = _measured(arguments.rounds, arguments.only)
        orders = large_shop.count()
    _report(rows)
    if not arguments.only:
        figures: dict[str, Any] = {"orders": orders, "rounds": arguments.rounds}
        figures["pages"] = [row._asdict() for row in rows]
        RESULTS.write_text(json.dumps(figures, indent=1) + "\n")


@contextmanager
def _folder(shop: Path | None) -> Iterator[Path]:
    if shop is None:
        with new_data_dir() as folder:
            yield folder
    else:
        shop.mkdir(mode=0o755, parents=True, exist_ok=True)
        yield shop.resolve()
        EmbeddedServer(shop.resolve()).stop()


def _measured(rounds: int, only: str) -> list[Row]:
    from django.conf import settings
    from django.db import connections

    from tests.benchmarks import pages, stock_admin

    chosen = [page for page in pages.all_pages() if only in page.name]
    browsers = pages.Browsers()
    figures: dict[str, list[tuple[Cost, Cost | None]]] = {page.name: [] for page in chosen}
    with (
        tempfile.TemporaryDirectory(prefix="stock-admin-") as project,
        stock_admin.running(Path(project), settings.DATABASES["read"], connections["read"]) as peer,
    ):
        # The first round fills caches.
        for number in range(rounds + 1):
            if number == 1:
                collect_less()
            for page in chosen:
                pair = browsers.cost(page), peer.cost(page.peer) if page.peer else None
                if number:
                    figures[page.name].append(pair)
    return [_row(page, figures[page.name], browsers) for page in chosen]


def _row(page: Any, pairs: Sequence[tuple[Cost, Cost | None]], browsers: Any) -> Row:
    peers = [peer.processor for _own, peer in pairs if peer]
    return Row(
        name=page.name,
        processor=_quartiles([own.processor for own, _peer in pairs]),
        clock=_quartiles([own.clock for own, _peer in pairs]),
        size=pairs[-1][0].size,
        statements=browsers.statements(page, is_cold=False),
        cold_statements=browsers.statements(page, is_cold=True),
        peer=_quartiles(peers) if peers else None,
        ratio=_quartiles([own.processor / peer.processor for own, peer in pairs if peer])
        if peers
        else None,
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    first, middle, third = quantiles(values, n=4, method="inclusive")
    return round(first, 2), round(middle, 2), round(third, 2)


def _report(rows: Sequence[Row]) -> None:
    """Print the figures as tables, the slowest page first, and the pages that miss a target."""
    print("| page | processor ms | clock ms | KB | statements, cold |")
    print("|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: -row.processor[1]):
        print(
            f"| {row.name} | {_text(row.processor)} | {_text(row.clock)} | {row.size / 1_000:.1f} |"
            f" {row.statements}, {row.cold_statements} |"
        )
    print()
    print("| page | processor ms | stock admin | ratio |")
    print("|---|---|---|---|")
    for row in rows:
        if row.peer and row.ratio:
            print(
                f"| {row.name} | {_text(row.processor)} | {_text(row.peer)} |"
                f" {_text(row.ratio, digits=2)} |"
            )
    for row in rows:
        if row.processor[1] > MOST_MILLISECONDS or row.cold_statements > MOST_STATEMENTS:
            print(f"Too much: {row.name}, {row.processor[1]} ms, {row.cold_statements} statements")


def _text(quartiles: tuple[float, float, float], digits: int = 0) -> str:
    first, middle, third = (f"{value:.{digits}f}" for value in quartiles)
    return f"{middle} ({first} to {third})"


if __name__ == "__main__":
    main()
