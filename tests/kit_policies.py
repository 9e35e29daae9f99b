"""How policies are tested: given commands, what they have done by a time.

``by(NOW + 2 * HOUR)`` lets the policies see what has happened and do what is due then. The adapters
below stand for the world outside: ``plug(settings, payment=Gateway)`` plugs one in.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from ordering_write import log, policies
from ordering_write.domain.commands import Command
from ordering_write.domain.events import OrderEvent
from ordering_write.models import Order
from ordering_write.ports.carrier import Booking, Parcel, Tracking
from ordering_write.ports.notifier import Notice
from ordering_write.ports.payment import ManualPayments, PaymentAnswer
from ordering_write.ports.risk import Assessment
from tests import kit

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def by(now: datetime) -> None:
    """Let the policies do what there is to do until ``now``."""
    policies.SUBSCRIPTION.set_timers()
    while policies.run_due(now=now):
        policies.SUBSCRIPTION.set_timers()


def give(kind: type[Command], order: Order, /, **payload: Any) -> Any:
    """Carry out a command about ``order``; return its events."""
    known = {"user_id": kit.USER, "timestamp": kit.NOW, "order_id": order.pk}
    return kit.dispatch(kind.model_validate({**known, **payload}))


def new_order(**fields: Any) -> Order:
    """An order of two units at 19.90 EUR."""
    return kit.placed_order(kit.registered_customer(), (kit.registered_product(), 2), **fields)


def story(order: Order) -> list[str]:
    """The types of the events of ``order``, after those by which it was placed."""
    return [one.type for one in log.read_stream(order.stream)][2:]


def last(order: Order) -> Any:
    """The last event of ``order``."""
    return log.read_stream(order.stream)[-1]


def plug(settings: Any, **adapters: type["Adapter"]) -> None:
    """Plug these adapters in: the name of the port, and its adapter."""
    paths = {port: f"{kind.__module__}.{kind.__name__}" for port, kind in adapters.items()}
    settings.PORTS = settings.PORTS | paths
    for kind in adapters.values():
        kind.asked = []
        kind.answers = {}


class Adapter:
    """Remembers what it was asked, with the key, and answers what the test says: ``answers`` has
    what a method returns, or an exception that it raises."""

    asked: ClassVar[list[tuple[str, UUID, Any]]] = []
    answers: ClassVar[dict[str, Any]] = {}

    def ask(self, method: str, key: UUID, what: Any, default: Any = None) -> Any:
        type(self).asked.append((method, key, what))
        answer = self.answers.get(method, default)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @classmethod
    def calls(cls, method: str) -> list[Any]:
        return [what for name, _key, what in cls.asked if name == method]

    @classmethod
    def keys(cls) -> list[UUID]:
        return [key for _name, key, _what in cls.asked]


class Gateway(Adapter, ManualPayments):
    """A payment gateway."""

    def void(self, *, key: UUID, **what: Any) -> Any:
        return self.ask("void", key, what, PaymentAnswer(is_done=True, reference="void-1"))

    def refund(self, *, key: UUID, **what: Any) -> Any:
        return self.ask("refund", key, what, PaymentAnswer(is_done=True, reference="refund-1"))


class Carrier(Adapter):
    """A carrier."""

    def book(self, parcel: Parcel, *, key: UUID) -> Booking | None:
        booking = Booking(carrier="Sample Post", tracking_number="SP1")
        return self.ask("book", key, parcel, booking)

    def track(self, parcel: Parcel, *, key: UUID) -> Tracking | None:
        return self.ask("track", key, parcel)


class Doubter(Adapter):
    """Wants to have every order looked at."""

    def assess(self, placed: Sequence[OrderEvent], *, key: UUID) -> Assessment:
        return self.ask("assess", key, placed, Assessment(needs_review=True, note="large"))


class Postman(Adapter):
    """Tells customers."""

    def tell(self, notice: Notice, *, key: UUID) -> None:
        self.ask("tell", key, notice)
