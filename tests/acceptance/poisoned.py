"""Settings under which projecting an order of 666 units kills the process, and one of 667 fails."""

import os
import signal
from collections.abc import Sequence

from django.apps import AppConfig

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as _OUR_APPS

KILLING_UNITS, FAILING_UNITS = 666, 667


class PoisonConfig(AppConfig):
    """Poisons the projection of orders."""

    name = "tests.acceptance"
    label = "poison"

    def ready(self) -> None:
        from ordering_read.projections.order_view import OrderProjection
        from ordering_write.published import DomainEvent, events

        apply = OrderProjection.apply

        def apply_or_die(
            projection: OrderProjection, batch: Sequence[DomainEvent], projection_id: int
        ) -> None:
            apply(projection, batch, projection_id)
            units = {e.quantity for e in batch if isinstance(e, events.OrderItemAdded)}
            if KILLING_UNITS in units:
                os.kill(os.getpid(), signal.SIGKILL)
            if FAILING_UNITS in units:
                raise ValueError("no such quantity")

        OrderProjection.apply = apply_or_die  # type: ignore[method-assign,assignment]


INSTALLED_APPS = [*_OUR_APPS, "tests.acceptance.poisoned.PoisonConfig"]
