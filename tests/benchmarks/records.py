"""Measures how old records of commands go: deleted in batches, or dropped with the table of a day.

    python -m tests.benchmarks.records [RECORDS OF A DAY]

Both kinds of table hold a week of records, 20,000 a day by default. Shown are the processor time
of PostgreSQL for a new record of either kind, in turn, and for a deleted one, and the size of the
table while each day's records come and a former day's go.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg

from config.databases.embedded import EmbeddedServer
from tests.benchmarks.measuring import seconds_on_cpu
from tests.own_server import new_data_dir

# Days as in COMMAND_RECORD_DAYS.
DAYS, ROUNDS, NUMBER = 7, 7, 1_500
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = """
command_id uuid NOT NULL, type varchar(60) NOT NULL, fingerprint varchar(64) NOT NULL,
user_id uuid NOT NULL, actor jsonb NOT NULL, channel varchar(10) NOT NULL, answer text NOT NULL,
recorded_at timestamptz NOT NULL
"""
TABLES = f"""
CREATE TABLE event (command_id uuid);
CREATE INDEX ON event (command_id);
CREATE TABLE whole ({COLUMNS}, PRIMARY KEY (command_id));
CREATE INDEX ON whole (recorded_at);
CREATE TABLE daily ({COLUMNS}, PRIMARY KEY (command_id, recorded_at))
    PARTITION BY RANGE (recorded_at);
"""
FILL = """
INSERT INTO {table}
SELECT gen_random_uuid(), 'CreateOrder', repeat('a', 64), gen_random_uuid(), '{{}}', 'api',
    (SELECT string_agg(md5(row::text || part::text), '') FROM generate_series(1, 30) part),
    %s::timestamptz + row * interval '1 day' / %s
FROM generate_series(0, %s - 1) row
"""
NEW = """
INSERT INTO {table}
SELECT %(id)s, 'CreateOrder', repeat('a', 64), %(id)s, '{{}}', 'api', %(answer)s, %(time)s
WHERE NOT EXISTS (SELECT FROM event WHERE event.command_id = %(id)s) {and_no_other_day}
ON CONFLICT DO NOTHING RETURNING command_id
"""
# A unique constraint holds within one table of a day only.
AND_NO_OTHER_DAY = "AND NOT EXISTS (SELECT FROM daily WHERE daily.command_id = %(id)s)"
# As `manage.py prune_commands`.
DELETE = """
DELETE FROM whole WHERE command_id IN (
    SELECT command_id FROM whole WHERE recorded_at < %s
    ORDER BY recorded_at LIMIT 5000 FOR UPDATE SKIP LOCKED
)
"""


class Bench:
    """A session, and the processor time of its backend."""

    def __init__(self, session: "psycopg.Connection[Any]", records: int) -> None:
        self._session = session
        self._records = records

    def fill(self) -> None:
        self._session.execute(TABLES)
        for number in range(DAYS + 1):
            begin, end = (FIRST_DAY + timedelta(days=number + more) for more in (0, 1))
            self._session.execute(
                f"CREATE TABLE daily_{number} PARTITION OF daily"
                f" FOR VALUES FROM ('{begin}') TO ('{end}')"
            )
        for number in range(DAYS):
            for table in ("whole", "daily"):
                self.add_day(table, number)
        self._session.execute("VACUUM ANALYZE")

    def add_day(self, table: str, number: int) -> None:
        day = FIRST_DAY + timedelta(days=number)
        self._session.execute(FILL.format(table=table), [day, self._records, self._records])

    def new_records(self, table: str) -> float:
        """Add records; return the microseconds of one."""
        condition = AND_NO_OTHER_DAY if table == "daily" else ""
        statement = NEW.format(table=table, and_no_other_day=condition)
        answer = "".join(random.choices("0123456789abcdef", k=960))
        values = {"answer": answer, "time": FIRST_DAY + timedelta(days=DAYS, hours=12)}
        with self._seconds() as seconds:
            for _ in range(NUMBER):
                self._session.execute(statement, {**values, "id": uuid4()}, prepare=True)
        return 1e6 * seconds[0] / NUMBER

    def delete_day(self, number: int) -> tuple[float, float]:
        """Delete the records of a day; return the microseconds of one, and of its vacuum."""
        before, deleted = FIRST_DAY + timedelta(days=number + 1), 0
        with self._seconds() as deletion:
            while count := self._session.execute(DELETE, [before]).rowcount:
                deleted += count
        with self._seconds() as vacuum:
            self._session.execute("VACUUM whole")
        return 1e6 * deletion[0] / deleted, 1e6 * vacuum[0] / deleted

    def megabytes(self) -> float:
        row = self._session.execute("SELECT pg_total_relation_size('whole') / 1e6").fetchone()
        return float((row or [0])[0])

    @contextmanager
    def _seconds(self) -> Iterator[list[float]]:
        pids = [self._session.info.backend_pid]
        before, seconds = seconds_on_cpu(pids), [0.0]
        yield seconds
        seconds[0] = seconds_on_cpu(pids) - before


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with new_data_dir() as folder:
        server = EmbeddedServer(folder)
        with server.in_use():
            server.start()
            with psycopg.connect(server.url("postgres"), autocommit=True) as session:
                measure(Bench(session, records))


def measure(bench: Bench) -> None:
    bench.fill()
    pairs = [(bench.new_records("whole"), bench.new_records("daily")) for _ in range(ROUNDS)]
    print(f"a new record: {median(whole for whole, _ in pairs):.0f} µs in one table,", end=" ")
    print(f"{median(daily - whole for whole, daily in pairs):.0f} µs more in tables of a day")
    for number in range(DAYS):
        bench.add_day("whole", DAYS + number)
        deletion, vacuum = bench.delete_day(number)
        print(
            f"a deleted record: {deletion:.1f} µs, its vacuum {vacuum:.1f} µs;"
            f" the table has {bench.megabytes():.0f} MB"
        )


if __name__ == "__main__":
    main()
