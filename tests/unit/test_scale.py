"""The figures of docs/scale.md are calculated from measured ones, by the rules that it names."""

import math
import re

from django.conf import settings

DOCS = settings.BASE_DIR / "docs"
PAGE = (DOCS / "scale.md").read_text()
RATES = (10, 100, 1_000, 10_000)
# At the peak, processors are two thirds busy; on average over the year, a tenth of the peak.
BUSY = 2 / 3
SECONDS_A_YEAR = 365 * 24 * 3600 / 10
# The life of an order: commands and reads.
COMMANDS, READS = 5, 10


def numbers(pattern: str, text: str) -> list[float]:
    [found] = re.findall(pattern, text)
    groups = [found] if isinstance(found, str) else found
    return [float(group.replace(",", "")) for group in groups]


WEB, WORKERS, DATABASE = numbers(
    r"over HTTP \| ([\d.]+) ms of the web server, ([\d.]+) ms of the workers, ([\d.]+) ms of", PAGE
)
[READ] = numbers(r"GET of one order \| ([\d.]+) ms", PAGE)
[EVENTS] = numbers(r"events of an order \| ([\d.]+),", PAGE)
[ARCHIVED] = numbers(r"archived event \| (\d+) bytes", PAGE)
[MESSAGE] = numbers(r"message of the stream \| ([\d,]+) bytes", PAGE)
[RELAYED, NATS] = numbers(r"(\d+) µs of the worker, .* (\d+) µs of a NATS server", PAGE)
[SLOWEST] = numbers(r"runner of a projection \| ([\d,]+) events", PAGE)
[SLOWEST_MIXED] = numbers(r"mixes streams, .* \| ([\d,]+) events", PAGE)


def capacity(row: str) -> list[float]:
    """Return the numbers of a row of the table, one for each rate."""
    [cells] = re.findall(rf"^\| {re.escape(row)} \|(.+)\|$", PAGE, re.MULTILINE)
    return [float(re.findall(r"[\d,.]+", cell)[0].replace(",", "")) for cell in cells.split("|")]


def processors(milliseconds: float) -> list[float]:
    return [math.ceil(rate * milliseconds / 1000 / BUSY) for rate in RATES]


def test_the_costs_are_those_that_were_measured() -> None:
    performance = (DOCS / "performance.md").read_text()
    assert f"| now | {WEB} ms | {WORKERS} ms | {DATABASE} ms |" in performance
    assert f"{SLOWEST:,.0f} events a second (`inventory_level`)" in performance
    assert f"costs {RELAYED:.0f} µs of processor time of the worker" in performance
    assert f"{NATS:.0f} µs of the NATS server" in performance
    assert f"{ARCHIVED:.0f} bytes an event" in performance
    deployment = (DOCS / "deployment.md").read_text()
    assert f"a GET of one order takes\n{READ} ms" in deployment
    assert "25 kB an order" in deployment


def test_the_table_of_capacity_follows_from_the_costs() -> None:
    assert capacity("processors of web servers") == processors(COMMANDS * WEB + READS * READ)
    assert capacity("processors of workers, of each site") == processors(COMMANDS * WORKERS)
    of_postgresql = capacity("processors of PostgreSQL, primary and first site")
    assert of_postgresql == processors(COMMANDS * DATABASE)
    assert capacity("events a second") == [rate * EVENTS for rate in RATES]
    cells = [RATES[0], RATES[1], RATES[2], RATES[3] / 15]
    busy = [round(rate * EVENTS * RELAYED / 1e6 * 100) for rate in cells]
    assert capacity("the relay at the peak is busy") == busy
    busy = [round(rate * EVENTS / SLOWEST_MIXED * 100) for rate in cells]
    assert capacity(
        "the slowest projection that mixes streams, in a worker of its own, is busy"
    ) == (busy)
    nats = [math.ceil(rate * EVENTS * NATS / 1e6 / BUSY) for rate in cells]
    assert capacity("processors of each NATS server") == nats
    needed = [math.ceil(rate * EVENTS / SLOWEST / BUSY) for rate in cells]
    assert capacity("`PROJECTION_SLICES`") == needed


def test_the_space_of_a_year_follows_from_the_costs() -> None:
    orders = [rate * SECONDS_A_YEAR for rate in RATES]
    assert capacity("orders a year") == [round(number / 1e6) for number in orders]
    databases = capacity("both databases, a year")
    streams, archive = capacity("each NATS server, a year"), capacity("archive, a year")
    for index, number in enumerate(orders):
        assert math.isclose(databases[index], number * 25_000 / 1e12, rel_tol=0.05)
        assert math.isclose(streams[index], number * EVENTS * MESSAGE / 1e12, rel_tol=0.11)
        assert math.isclose(archive[index], number * EVENTS * ARCHIVED / 1e12, rel_tol=0.06)


def test_the_ceilings_follow_from_the_costs() -> None:
    whole = COMMANDS * (WEB + WORKERS + DATABASE) + READS * READ
    assert f"{whole:.0f} ms of all programs for the life of an order | " in PAGE
    assert f"| {16 * BUSY / whole * 1000:.0f}, calculated |" in PAGE
    assert f"| {SLOWEST * BUSY / EVENTS:.0f}, calculated |" in PAGE
    assert f"| {1e6 / RELAYED * BUSY / EVENTS:.0f}, calculated |" in PAGE
    assert f"| {SLOWEST_MIXED * BUSY / EVENTS:.0f}, calculated |" in PAGE
    assert f"| {32 * BUSY / (COMMANDS * DATABASE) * 1000:.0f}, calculated |" in PAGE
