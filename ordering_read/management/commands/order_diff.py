"""`manage.py order_diff`: shows what differs between two versions of an order."""

from argparse import ArgumentParser
from typing import Any

from ordering_read.management.orders import OrderCommand, difference
from ordering_read.queries.order_diff import GetOrderDiff, OrderStates, changes_of
from ordering_read.queries.order_facts import compare


class Command(OrderCommand):
    help = """Show what differs between two versions of an order: what the first has only with "-",
    what the second has only with "+"."""
    query_type = GetOrderDiff

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("from", help="The version before; 0 is before the order was placed.")
        parser.add_argument("to", nargs="?", help="The version after; by default the newest.")

    def handle(self, *args: Any, number: str, **options: Any) -> None:
        states: OrderStates = self.ask(number, **{"from": options["from"], "to": options["to"]})
        before, after = states.before, states.after
        first = before.version if before else 0
        if options["json"]:
            self.print_json(
                {
                    "order_id": after.id,
                    "from_version": first,
                    "to_version": after.version,
                    "changes": changes_of(before, after),
                }
            )
            return
        sections = compare(before, after)
        topics = [topic for section in sections for topic in section.topics if topic.change]
        self.stdout.write(f"Order {after.order_number}, version {first} to {after.version}")
        for topic in topics:
            self.stdout.write(difference(topic))
        if not topics:
            self.stdout.write("Both versions are the same.")
