"""The base of the commands of `manage.py` that show an order."""

import json
from argparse import ArgumentParser
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from pydantic import ValidationError

from config.commands import ServiceCommand
from config.http.admin import parse_uuid
from config.http.answers.encoding import JSONEncoder
from config.http.input.validation import errors_of
from ordering_read.engine.waiting import SHOWN, Visibility, wait
from ordering_read.models import OrderSummary
from ordering_read.queries.base import Query, get_query_bus
from ordering_read.queries.order_facts import ComparedTopic
from ordering_read.queries.order_numbers import FindOrders
from ordering_write import published
from ordering_write.published import DetachedEventsError, NotFoundError, UndecodableEventError

Answer = TypeVar("Answer")

# The longest wait for the rows of an order that was placed just before.
_WAIT_SECONDS = 5.0


class OrderCommand(ServiceCommand):
    """A command about the order that its first argument names; ``query_type`` reads the order.

    Shows personal data, like everything that reads the databases directly.
    """

    query_type: ClassVar[type[Query[Any]]]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Lets --version be the version of an order, instead of Django's.
        return super().create_parser(
            prog_name, subcommand, **{"conflict_handler": "resolve", **kwargs}
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "number", help="The number of the order, such as 2026-301 or 301, or its id."
        )
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def ask(self, number: str, **parameters: Any) -> Any:
        """Return the answer to the query about the order, with the ``parameters`` that are given.

        Raises CommandError, with the reason, for an order or a parameter that doesn't exist.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        try:
            query = self.query_type.model_validate({"order_id": _order_id(number), **given})
            return get_query_bus().dispatch(query)
        except ValidationError as error:
            mistakes = [
                f"{mistake['pointer'].lstrip('#/')}: {mistake['detail']}"
                for mistake in errors_of(error)
            ]
            raise CommandError("\n".join(mistakes)) from error
        except (NotFoundError, UndecodableEventError, DetachedEventsError) as error:
            raise CommandError(str(error)) from error

    def print_json(self, value: Any) -> None:
        """Print ``value`` as one JSON document."""
        self.stdout.write(json.dumps(value, cls=JSONEncoder, indent=2, ensure_ascii=False))


def difference(topic: ComparedTopic) -> str:
    """Return the facts that differ: those before with "-", those after with "+"."""
    gone = [f"- {fact.text}" for fact in topic.before if fact.differs]
    new = [f"+ {fact.text}" for fact in topic.after if fact.differs]
    return "\n".join([topic.label, *(f"  {line}" for line in (*gone, *new))])


def _order_id(number: str) -> UUID:
    if order_id := parse_uuid(number):
        return order_id
    find = FindOrders(number=number)
    orders = get_query_bus().dispatch(find)
    if not orders:
        visibility = _wait_for_new_orders()
        orders = get_query_bus().dispatch(find)
        if not orders and not visibility:
            raise CommandError(
                f"No order that is shown has the number {number}. The newest orders aren't shown "
                f"yet, because {visibility.because}."
            )
    if not orders:
        raise CommandError(f"No order has the number {number}.")
    if len(orders) > 1:
        numbers = ", ".join(order.order_number for order in orders)
        raise CommandError(f"Several orders have the number {number}: {numbers}.")
    return orders[0].order_id


def _wait_for_new_orders() -> Visibility:
    """Wait until the orders that are in the log now are shown, for a few seconds at most."""
    published.sequence()
    _log_id, event_id = published.log_fingerprint(published.last_position())
    if event_id is None:
        return SHOWN
    return wait(
        event_id=event_id, projections=(OrderSummary.projection_name,), timeout=_WAIT_SECONDS
    )
