"""The races of `make bench`, at a tiny size and without the peers, whose packages aren't here.

Nothing is said about times: only that each race runs to its end, and what its figures look like.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.service import Service
from tests.acceptance.shop import Shop
from tests.benchmarks import (
    checks,
    peer,
    profile,
    race_growth,
    race_place,
    race_rebuild,
    race_visible,
)
from tests.benchmarks import race_web as web
from tests.benchmarks.all_races import RACES
from tests.benchmarks.log import make_log
from tests.benchmarks.measuring import Cost, Rounds
from tests.benchmarks.peer import MissingPeerError
from tests.benchmarks.race_visible import NoCommitTimesError
from tests.benchmarks.races import OURS, Comparison, Figure, Setting, Sizes
from tests.benchmarks.results import Result, Stored, lines_of, result_of
from tests.databases import Databases, connected_to

TINY = Sizes(rounds=1, number=1, orders=3, against=False)


@pytest.fixture
def setting(tmp_path: Path, migrated: list[str], service: Service) -> Setting:
    """Return the surroundings of a tiny race, with the service of all acceptance tests."""
    return Setting(folder=tmp_path, like=migrated, sizes=TINY, service=service)


def contestants(rounds: Rounds) -> set[str]:
    """Return the names of those that took part; each has spent processor time."""
    for costs in rounds.costs.values():
        assert all(cost.whole > 0 for cost in costs)
    return set(rounds.costs)


def test_races_over_http_run_on_the_service_alone(
    setting: Setting, shop: Shop, subtests: pytest.Subtests
) -> None:
    shop.order()
    for run in (web.run_post, web.run_whole, web.run_read, web.run_list):
        with subtests.test("race", name=run.__name__):
            assert contestants(run(setting)) == {OURS}
    with subtests.test("growth"):
        expected = {f"{work}, {size}" for work in ("place", "read", "list") for size in _SIZES}
        assert contestants(race_growth.run_growth(setting)) == expected
    with subtests.test("memory"):
        figures = checks.memory(setting)
        assert [figure.measure for figure in figures] == ["MB", "MB"]
        assert all(10 < figure.median < 1_000 for figure in figures)


_SIZES = (race_growth.FEW, race_growth.MANY)


def test_place_sends_the_statements_of_its_dispatches_again(setting: Setting) -> None:
    assert contestants(race_place.run_place(setting)) == {OURS, "raw"}


def test_rebuild_makes_the_rows_of_one_sql_statement(setting: Setting) -> None:
    assert contestants(race_rebuild.run_rebuild(setting)) == {OURS, "sql"}


def test_visible_needs_a_server_that_records_commit_times(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race_visible, "records_commit_times", lambda url: False)
    with pytest.raises(NoCommitTimesError, match="make bench"):
        race_visible.run_visible(setting)


def test_race_without_its_peer_is_refused(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peer, "PYTHON", tmp_path / "python")
    against = Setting(folder=tmp_path, like=setting.like, sizes=Sizes(orders=1))
    with pytest.raises(MissingPeerError, match="make bench"):
        web.run_read(against)


def test_log_of_more_than_a_million_orders_has_different_order_numbers(
    migrated: Sequence[str],
) -> None:
    # to_char would write # for a number that doesn't fit.
    databases = Databases("write", like=migrated[:1])
    try:
        with psycopg.connect(databases.urls[0], autocommit=True) as connection:
            assert make_log(connection, 2) == 8
            rows = connection.execute(
                "SELECT data->>'order_number', position FROM event JOIN event_position"
                " ON event_position.event_id = event.id WHERE version = 1 ORDER BY position"
            ).fetchall()
            numbers = connection.execute(
                "SELECT to_char(number, 'FM00000000') FROM unnest(ARRAY[1, 100000, 1000000]) number"
            ).fetchall()
    finally:
        databases.drop()
    assert [number for number, _position in rows] == ["2026-00000001", "2026-00000002"]
    assert [number for (number,) in numbers] == ["00000001", "00100000", "01000000"]


def test_ratio_is_the_median_of_pairs_of_rounds() -> None:
    ours = [Cost(clock=1, own=own) for own in (1.0, 2.0, 4.0)]
    theirs = [Cost(clock=1, own=own) for own in (2.0, 2.0, 12.0)]
    rounds = Rounds({OURS: ours, "drf": theirs})

    figure = Comparison(peer="drf", title="DRF", measure="own", bound="").figure(rounds)

    assert (figure.median, figure.low, figure.high) == (2.0, 1.5, 2.5)
    assert (figure.ours, figure.theirs) == (2_000, 2_000)


def test_profile_shows_statements_packages_and_functions(
    migrated: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    databases = Databases("write", "read", like=migrated)
    try:
        with connected_to(databases.names):
            profile.show("read", databases.urls, stored=2, times=1)
    finally:
        databases.drop()
    text = capsys.readouterr().out

    for line in (
        r"read: [0-9.]+ ms by the clock, [0-9.]+ ms own",
        r"Statements +times each +ms each\n  \w.* 1\.00 +[0-9.]+",
        r"  ordering_read/api +[0-9.]+% +[0-9.]+",
        r"  ordering_read/queries/base.py:\d+ dispatch +1\.00 +[0-9.]+",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), line


def test_results_are_kept_on_the_page_and_changes_are_told(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text(
        "before\n<!-- make bench writes from here -->\nold\n<!-- to here -->\nafter\n"
    )

    def result(median: float, orders: int = 10) -> Result:
        figure = Figure(
            title="DRF", measure="own", median=median, low=1.0, high=3.0, bound="at least 1"
        )
        return result_of("read", "GET", Sizes(orders=orders), [figure])

    Stored(tmp_path).keep("read", result(2.0))
    page = (tmp_path / "performance.md").read_text()
    stored = Stored(tmp_path)

    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "old" not in page
    assert "make bench RACE=read ORDERS=10 ROUNDS=7 NUMBER=100" in page
    assert "| DRF | own | 2.00 (1.00 to 3.00) | at least 1 |" in page
    assert json.loads((tmp_path / "performance.json").read_text())["read"]["title"] == "GET"
    assert stored.changes("read", result(2.2)) == []
    assert stored.changes("read", result(2.4)) == ["read, DRF, own: 2.00 before, 2.40 now"]
    assert "another size" in stored.changes("read", result(2.0, orders=20))[0]
    assert stored.changes("list", result(9.0)) == []
    assert lines_of(result(2.0))[1] == "  DRF, own: 2.00 (1.00 to 3.00) at least 1"


def test_every_race_has_a_bound_for_each_of_its_figures() -> None:
    compared = [
        comparison for race in RACES.values() for comparison in getattr(race, "comparisons", ())
    ]
    assert {comparison.measure for comparison in compared} == {
        "clock",
        "own",
        "whole",
        "workers",
        "p50",
        "p99",
    }
