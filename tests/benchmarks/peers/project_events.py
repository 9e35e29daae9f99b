"""A contestant: projects orders with the ProjectionRunner of the library eventsourcing."""

import os
import sys

import psycopg

from tests.benchmarks.contestant import serve
from tests.benchmarks.peers import library


def main() -> None:
    """Place orders, as many as the first argument says; then project as many events as asked."""
    url = os.environ["PEER_URL"]
    environ, last = library.prepare(url, int(sys.argv[1]))

    def run(events: int) -> None:
        assert events == last, "all events, or none"
        library.run(environ, last)

    def begin_anew(_events: int) -> None:
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT format('%I', table_name) FROM information_schema.tables"
                " WHERE table_schema = 'public' AND (table_name = 'orders'"
                " OR table_name LIKE '%tracking%')"
            ).fetchall()
            if rows:
                connection.execute(f"DROP TABLE {', '.join(name for (name,) in rows)}")

    serve(run, prepare=begin_anew)


if __name__ == "__main__":
    main()
