"""Limits on the open orders of a customer, and on the units in them that wait to be sent.

Without limits, one customer could reserve the whole stock. A command that may exceed a limit locks
the row of the customer, so that two commands at once can't exceed it together.
"""

from uuid import UUID

from django.conf import settings
from django.db import connection

from config.databases import prepared
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain.events import LIVE

# The errors that the functions of this module raise.
REFUSALS = (errors.TooManyOpenOrdersError, errors.TooManyOpenUnitsError)

_LOCK = """
SELECT FROM ordering_write_customer
WHERE customer_id = (SELECT customer_id FROM ordering_write_order WHERE id = %s) FOR UPDATE
"""
# A line reserves the units that wait to be sent.
_COUNT = """
SELECT count(*), coalesce(sum(waiting.units), 0) FROM ordering_write_order, LATERAL (
    SELECT sum(quantity) AS units FROM ordering_write_reservation
    WHERE order_id = ordering_write_order.id
) waiting
WHERE customer_id = %s AND status = ANY(%s)
"""


def bind(command: c.Command) -> bool:
    """Return True if the user who gives ``command`` can't exceed the limits."""
    has_limits = settings.MAX_OPEN_ORDERS > 0 or settings.MAX_OPEN_UNITS > 0
    return has_limits and not command.has_privilege(c.Privilege.ANY_VOLUME)


def lock_customer(command: c.AddOrderItem | c.ChangeItemQuantity) -> None:
    """Lock the customer of the order of ``command``, before the order itself, if limits bind it."""
    if bind(command):
        prepared.fetch(connection.alias, _LOCK, [command.order_id])


def check(command: c.Command, customer_id: UUID, *, orders: int = 0, units: int) -> None:
    """Raise an error of REFUSALS if the customer can't have so many more open orders and units.

    The row of the customer must be locked. Costs a statement if limits bind ``command``.
    """
    if units <= 0 or not bind(command):
        return
    parameters = [customer_id, sorted(LIVE)]
    [(open_orders, open_units)] = prepared.fetch(connection.alias, _COUNT, parameters)
    if 0 < settings.MAX_OPEN_ORDERS < open_orders + orders:
        raise errors.TooManyOpenOrdersError(
            f"A customer can have at most {settings.MAX_OPEN_ORDERS:,} open orders; there are "
            f"{open_orders:,}."
        )
    if 0 < settings.MAX_OPEN_UNITS < open_units + units:
        raise errors.TooManyOpenUnitsError(
            f"A customer can have at most {settings.MAX_OPEN_UNITS:,} units in open orders; there "
            f"are {open_units:,}, and {units:,} more were asked for."
        )
