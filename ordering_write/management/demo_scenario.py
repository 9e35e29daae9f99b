"""The scenario of the demo: sixty days of a small shop, played by commands.

Each order has a generator that gives its commands and yields the time of the next ones. The
generators of all orders are run in the order of these times, so that the log has the order in which
it would have been written.
"""

import heapq
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from config.accounts.models import User
from ordering_write import client
from ordering_write.management.demo import (
    ADMIN,
    CLERK,
    CUSTOMERS,
    PRODUCTS,
    WAREHOUSE,
    Login,
    demo_id,
    email_of,
)
from ordering_write.management.demo_history import past_orders
from ordering_write.management.demo_order import OrderScenario

_SPAN = timedelta(days=60)
# The age of the youngest order, which is still pending.
_YOUNGEST = timedelta(minutes=30)


class Scenario:
    """Plays ``orders`` orders, the last of them placed shortly before ``now`` (UTC)."""

    def __init__(self, users: Mapping[str, User], *, orders: int, now: datetime) -> None:
        self._now = now
        self._orders = orders
        self._users = users
        # With all privileges, so that no command counts the open orders of a customer.
        self._envelopes = {
            name: {**client.envelope(user, channel="cli"), "privileges": None}
            for name, user in users.items()
        }

    def play(self, on_order: Callable[[int], None]) -> None:
        """Give all commands, in the order of their times.

        Calls ``on_order`` with the number of orders that are placed, after each of them.
        """
        self._open_shop(self._now - _SPAN - timedelta(hours=1))
        steps = {
            number: OrderScenario(
                number, placed_at=self._placed_at(number), give=self._give
            ).steps()
            for number in range(self._orders)
        }
        due = [(next(times), number) for number, times in steps.items()]
        heapq.heapify(due)
        placed = 0
        while due and due[0][0] <= self._now:
            _, number = due[0]
            next_time = next(steps[number], None)
            # The first step of an order places it, and they come in the order of their numbers.
            if number == placed:
                placed += 1
                on_order(placed)
            if next_time:
                heapq.heapreplace(due, (next_time, number))
            else:
                heapq.heappop(due)

    def _placed_at(self, number: int) -> datetime:
        younger = self._orders - 1 - number
        return self._now - _YOUNGEST - _SPAN * younger / self._orders

    def _open_shop(self, time: datetime) -> None:
        for name in CUSTOMERS:
            fields = {"customer_id": demo_id(name), "name": name, "email": email_of(name)}
            self._give(CLERK, time, client.RegisterCustomer, fields)
        for product in PRODUCTS:
            fields = {**product._asdict(), "product_id": demo_id(product.sku), "reorder_point": 40}
            self._give(WAREHOUSE, time, client.RegisterStockItem, fields)
        for past_order in past_orders(time):
            self._give(ADMIN, time, client.ImportOrder, past_order)

    def _give(
        self,
        login: Login,
        time: datetime,
        command_type: type[client.Command],
        payload: Mapping[str, Any],
    ) -> client.CommandResult:
        fields = {"timestamp": time, **self._envelopes[login.username], **payload}
        command = command_type.model_validate(fields)
        return client.dispatch(command, user=self._users[login.username])
