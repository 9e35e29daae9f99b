"""The list of all races and checks."""

from tests.benchmarks import checks, race_growth, race_place, race_rebuild, race_visible, race_web
from tests.benchmarks.race_growth import FEW, MANY
from tests.benchmarks.races import Check, Comparison, Race, Sizes

RACES: dict[str, Race | Check] = {
    "place": Race(
        title="place an order of 3 lines, in a process",
        run=race_place.run_place,
        sizes=Sizes(orders=0),
        comparisons=(
            Comparison(
                peer="orm", title="Django's ORM, no log", measure="own", bound="at least 1.3"
            ),
            Comparison(
                peer="eventsourcing",
                title="eventsourcing, saving the same 4 events",
                measure="own",
                bound="at least 0.45",
            ),
            Comparison(
                peer="raw",
                title="the same statements by psycopg alone",
                measure="whole",
                bound="at least 0.55",
            ),
        ),
    ),
    "post": Race(
        title="POST an order of 3 lines",
        run=race_web.run_post,
        comparisons=(
            Comparison(
                peer="drf", title="DRF ModelViewSet, nested", measure="own", bound="at least 2.0"
            ),
        ),
    ),
    "whole": Race(
        title="the whole of an order, with its projections",
        run=race_web.run_whole,
        comparisons=(
            Comparison(
                peer="drf",
                title="DRF ModelViewSet, nothing projected",
                measure="whole",
                bound="at least 1.2",
            ),
        ),
    ),
    "read": Race(
        title="GET one order with its lines",
        run=race_web.run_read,
        sizes=Sizes(number=200),
        comparisons=(
            Comparison(
                peer="drf",
                title="DRF ModelViewSet, nested, prefetch",
                measure="own",
                bound="at least 3.0",
            ),
        ),
    ),
    "list": Race(
        title="GET a list of 50 orders with a filter",
        run=race_web.run_list,
        sizes=Sizes(number=50),
        comparisons=(
            Comparison(
                peer="drf",
                title="DRF ModelViewSet, nested, PageNumberPagination",
                measure="own",
                bound="at least 6",
            ),
            Comparison(
                peer="drf",
                title="the same, with PostgreSQL",
                measure="whole",
                bound="at least 20 at 1,000,000",
            ),
            Comparison(
                peer="flat",
                title="DRF, a flat serializer",
                measure="own",
                bound="at least 1.5",
            ),
        ),
    ),
    "rebuild": Race(
        title="rebuild the read model of orders",
        run=race_rebuild.run_rebuild,
        sizes=Sizes(orders=250_000, number=1),
        comparisons=(
            Comparison(
                peer="sql", title="one SQL statement", measure="clock", bound="at least 1.0"
            ),
            Comparison(peer="sql", title="one SQL statement", measure="whole", bound=""),
            Comparison(
                peer="eventsourcing",
                title="eventsourcing's ProjectionRunner",
                measure="clock",
                bound="at least 30",
            ),
            Comparison(
                peer="eventsourcing",
                title="eventsourcing's ProjectionRunner",
                measure="whole",
                bound="at least 15",
            ),
        ),
    ),
    "visible": Race(
        title="from commit to visible, at 60 % of the highest rate",
        run=race_visible.run_visible,
        sizes=Sizes(number=300, orders=2_000),
        comparisons=(
            Comparison(
                peer="django-q2",
                title="django-q2's ORM broker, a task an event",
                measure="p50",
                bound="at least 10",
            ),
            Comparison(
                peer="django-q2",
                title="django-q2's ORM broker, a task an event",
                measure="p99",
                bound="at least 5",
            ),
        ),
    ),
    "growth": Race(
        title="many orders stored, against few",
        run=race_growth.run_growth,
        sizes=Sizes(orders=1_000_000),
        comparisons=tuple(
            Comparison(
                ours=f"{work}, {FEW}",
                peer=f"{work}, {MANY}",
                title=title,
                measure=measure,
                bound="at most 1.1",
            )
            for title, work, measure in (
                ("place, over HTTP", "place", "own"),
                ("project", "place", "workers"),
                ("read", "read", "whole"),
                ("list", "list", "whole"),
            )
        ),
    ),
    "memory": Check(
        title="memory after requests and events",
        figures=checks.memory,
        sizes=Sizes(orders=250_000, number=100_000, rounds=1),
    ),
    "ready": Check(
        title="start to ready of make run, with data",
        figures=checks.ready,
        sizes=Sizes(rounds=3, orders=0, number=1),
    ),
}
