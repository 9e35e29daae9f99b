"""Shows where the time of a race's work goes: ``make profile RACE=read [ORDERS=500]``.

The work runs in this process: first as it is, then with each statement timed by the clock, then
under cProfile by processor time, which makes functions of Python look more expensive than they are.
"""

import cProfile
import io
import pstats
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import psycopg
from django.core.management import call_command
from django.db import connections

from config.databases.prepared import PreparedStatements
from tests.benchmarks.http_contestant import Request, lists, orders, reads
from tests.benchmarks.log import EVENTS_OF_AN_ORDER, go_to_head, make_log
from tests.benchmarks.server import benchmark_server, set_up_django

ORDERS = 500
TIMES = 100
_SHOWN = 25
_OURS = ("config/", "ordering_write/", "ordering_read/")
_ROOT = f"{Path(__file__).parent.parent.parent}/"

# A function that does the work, and how many things it does.
Work = tuple[Callable[[], object], int]
Function = tuple[str, int, str]


def main() -> None:
    race = sys.argv[1] if len(sys.argv) > 1 else ""
    if race not in WORKS:
        sys.exit(f"Name one of these races: make profile RACE={'|'.join(WORKS)}")
    stored = int(sys.argv[2]) if len(sys.argv) > 2 else ORDERS
    set_up_django()
    with benchmark_server():
        from tests.databases import Databases, MigratedDatabases, connected_to

        migrated = MigratedDatabases(keep=True)
        site = Databases("write", "read", like=migrated.names)
        try:
            with connected_to(site.names):
                show(race, site.urls, stored=stored)
            connections.close_all()
        finally:
            site.drop()
            migrated.drop()


def show(race: str, urls: list[str], *, stored: int, times: int = TIMES) -> None:
    """Print the profile of ``times`` works of a race, on a log of ``stored`` orders."""
    with psycopg.connect(urls[0], autocommit=True) as connection:
        make_log(connection, stored)
    if race != "rebuild":
        call_command("rebuild_projections", "order_view", workers=1, stdout=io.StringIO())
        go_to_head(*urls)
    work, things = WORKS[race](urls, times)
    work()
    began, on_cpu = time.perf_counter(), time.process_time()
    work()
    clock, own = time.perf_counter() - began, time.process_time() - on_cpu
    thing = "1,000 events" if race == "rebuild" else race
    print(f"{thing}: {1e3 * clock / things:.3f} ms by the clock, {1e3 * own / things:.3f} ms own")
    with timed_statements() as statements:
        work()
    _show_statements(statements, things)
    # Not by the clock, which goes on while PostgreSQL works.
    profile = cProfile.Profile(time.process_time)
    profile.runcall(work)
    _show_functions(pstats.Stats(profile).stats, things)  # type: ignore[attr-defined]


# --- The work of the races ----------------------------------------------------------------------


def _place(urls: list[str], times: int) -> Work:
    from tests.benchmarks.shop import Shop

    shop = Shop()
    return lambda: shop.place(times), times


def _post(urls: list[str], times: int) -> Work:
    from tests.benchmarks.shop import Shop

    shop = Shop()
    customers, products = map(str, shop.customers), map(str, shop.products)
    return _sent(urls, orders("/api/v1/orders", list(customers), list(products)), times)


def _read(urls: list[str], times: int) -> Work:
    with psycopg.connect(urls[1]) as connection:
        keys = [key for (key,) in connection.execute("SELECT id FROM order_summary LIMIT 300")]
    return _sent(urls, reads("/api/v1/orders/{}", keys), times)


def _list(urls: list[str], times: int) -> Work:
    from tests.benchmarks.race_web import LIST

    return _sent(urls, lists(LIST), times)


def _rebuild(urls: list[str], times: int) -> Work:
    def rebuild() -> None:
        call_command("rebuild_projections", "order_view", workers=1, stdout=io.StringIO())

    with psycopg.connect(urls[0]) as connection:
        [(events,)] = connection.execute("SELECT count(*) FROM event").fetchall()
    assert events % EVENTS_OF_AN_ORDER == 0
    return rebuild, events // 1_000


WORKS = {"read": _read, "list": _list, "place": _place, "post": _post, "rebuild": _rebuild}


def _sent(urls: list[str], requests: Iterator[Request], times: int) -> Work:
    """Let the WSGI application answer the requests of an administrator."""
    from config.wsgi import application
    from tests.acceptance.service import token_of_new_user

    with psycopg.connect(urls[0], autocommit=True) as connection:
        token = token_of_new_user(connection, "admin")

    def send() -> None:
        for _ in range(times):
            _answer(application, next(requests), token)

    return send, times


def _answer(application: Any, request: Request, token: str) -> None:
    method, path, body = request
    content = (body or "").encode()
    address, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": address,
        "QUERY_STRING": query,
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": "application/json",
        "HTTP_AUTHORIZATION": f"Token {token}",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": io.BytesIO(content),
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []
    response = application(environ, lambda status, *_others: statuses.append(status))
    answer = b"".join(response)
    response.close()
    assert statuses[0].startswith("20"), (statuses, answer[:500])


# --- What is shown ------------------------------------------------------------------------------


@contextmanager
def timed_statements() -> Iterator[dict[str, list[float]]]:
    """Yield the seconds of each execution within the block, by the text of the statement."""
    seconds: dict[str, list[float]] = {}
    execute, fetch = psycopg.Cursor.execute, PreparedStatements.fetch
    commit = PreparedStatements.commit

    def timed(run: Callable[..., Any]) -> Any:
        def timed_run(runner: Any, query: Any, *arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return run(runner, query, *arguments, **options)
            finally:
                text = " ".join(str(query).split())
                seconds.setdefault(text, []).append(time.perf_counter() - began)

        return timed_run

    def timed_commit(statements: PreparedStatements) -> None:
        texts = [*(text for text, _ in statements.last), "COMMIT"]
        timed(lambda prepared, _texts: commit(prepared))(statements, "; ".join(texts))

    psycopg.Cursor.execute = timed(execute)  # type: ignore[method-assign]
    PreparedStatements.fetch = timed(fetch)  # type: ignore[method-assign]
    PreparedStatements.commit = timed_commit  # type: ignore[method-assign,assignment]
    try:
        yield seconds
    finally:
        psycopg.Cursor.execute = execute  # type: ignore[method-assign]
        PreparedStatements.fetch = fetch  # type: ignore[method-assign]
        PreparedStatements.commit = commit  # type: ignore[method-assign]


def _show_statements(statements: Mapping[str, list[float]], things: int) -> None:
    print(f"\nStatements{'':<74}{'times each':>12}{'ms each':>10}")
    by_time = sorted(statements.items(), key=lambda item: -sum(item[1]))
    for text, seconds in by_time[:_SHOWN]:
        _show_row(text[:80], f"{len(seconds) / things:.2f}", sum(seconds) / things)
    count = sum(map(len, statements.values())) / things
    _show_row("all", f"{count:.2f}", sum(map(sum, statements.values())) / things)


def _show_row(name: str, number: str, seconds: float) -> None:
    print(f"  {name:<82}{number:>12}{1_000 * seconds:>10.3f}")


def _show_functions(stats: Mapping[Function, Any], things: int) -> None:
    packages: dict[str, float] = {}
    for function, (_calls, _all_calls, own, _cumulative, _callers) in stats.items():
        package = _package(function)
        packages[package] = packages.get(package, 0.0) + own
    total = sum(packages.values())
    print(f"\nPackages{'':<76}{'part':>12}{'ms each':>10}")
    for package, seconds in sorted(packages.items(), key=lambda item: -item[1])[:_SHOWN]:
        _show_row(package, f"{seconds / total:.1%}", seconds / things)
    ours = {function: row for function, row in stats.items() if _is_ours(function)}
    for title, chosen, column in (
        ("Functions of ours, with those that they call", ours, 3),
        ("Functions, without those that they call", stats, 2),
    ):
        print(f"\n{title:<84}{'calls each':>12}{'ms each':>10}")
        by_time = sorted(chosen.items(), key=lambda item: -item[1][column])
        for function, row in by_time[:_SHOWN]:
            _show_row(_name(function)[-80:], f"{row[1] / things:.2f}", row[column] / things)


def _is_ours(function: Function) -> bool:
    return function[0].removeprefix(_ROOT).startswith(_OURS)


def _package(function: Function) -> str:
    file = function[0]
    if _is_ours(function):
        return "/".join(file.removeprefix(_ROOT).split("/")[:2])
    if "site-packages/" in file:
        return file.partition("site-packages/")[2].split("/")[0]
    return "Python" if file.startswith("/") else "built in"


def _name(function: Function) -> str:
    file, line, name = function
    short = file.removeprefix(_ROOT).rpartition("site-packages/")[2]
    return f"{short}:{line} {name}" if line else name


if __name__ == "__main__":
    main()
