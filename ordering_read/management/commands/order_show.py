"""`manage.py order_show`: shows an order, now or in the past."""

from argparse import ArgumentParser
from itertools import groupby
from typing import Any

from ordering_read.management.orders import OrderCommand
from ordering_read.queries.order_facts import topics_of
from ordering_read.queries.order_history import store_moment
from ordering_read.queries.orders import GetOrderById, OrderDetail


class Command(OrderCommand):
    help = "Show an order as the log has it now, at one of its versions, or as of a moment."
    query_type = GetOrderById

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        past = parser.add_mutually_exclusive_group()
        past.add_argument(
            "--version",
            metavar="VERSION",
            default=None,
            help="Show the order after this number of its events.",
        )
        past.add_argument(
            "--as-of",
            metavar="TIME",
            help="Show the order as it was recorded then: a day, which is its first moment, or "
            "2026-03-01T12:00, in the store's time zone unless the time has its own.",
        )

    def handle(
        self, *args: Any, number: str, version: str | None, as_of: str | None, **options: Any
    ) -> None:
        now = None if version or as_of else "strong"
        moment = as_of and store_moment(as_of)
        order: OrderDetail = self.ask(number, version=version, as_of=moment, consistency=now)
        if options["json"]:
            self.print_json(order)
            return
        self.stdout.write(f"Order {order.order_number}, version {order.version}")
        for section, topics in groupby(topics_of(order), key=lambda topic: topic.section):
            self.stdout.write(f"\n{section}")
            for topic in topics:
                self.stdout.write(f"  {topic.label}: {', '.join(topic.facts)}")
