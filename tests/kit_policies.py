"""The kit of the policies' tests: given commands, the effects of the policies by a time.

``run_policies(NOW + 2 * HOUR)`` runs the policies up to that time. The adapters below stand for
other systems: ``plug(settings, payment=Gateway)`` plugs one in.
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


def run_policies(now: datetime) -> None:
    """Run the policies until nothing is due at ``now``."""
    policies.SUBSCRIPTION.set_timers()
    while policies.run_due(now=now):
        policies.SUBSCRIPTION.set_timers()


def give(command_type: type[Command], order: Order, /, **payload: Any) -> Any:
    """Dispatch a command about ``order``; return its events."""
    envelope = {"user_id": kit.USER, "timestamp": kit.NOW, "order_id": order.pk}
    return kit.dispatch(command_type.model_validate({**envelope, **payload}))


def new_order(**fields: Any) -> Order:
    """Place an order of two units at 19.90 EUR."""
    return kit.placed_order(kit.registered_customer(), (kit.registered_product(), 2), **fields)


def later_event_types(order: Order) -> list[str]:
    """Return the types of the events of ``order`` after its placement."""
    return [event.type for event in log.read_stream(order.stream)][2:]


def last_event(order: Order) -> Any:
    """Return the last event of ``order``."""
    return log.read_stream(order.stream)[-1]


def plug(settings: Any, **adapters: type["Adapter"]) -> None:
    """Plug in adapters, by the names of their ports."""
    paths = {port: f"{cls.__module__}.{cls.__name__}" for port, cls in adapters.items()}
    settings.PORTS = settings.PORTS | paths
    for adapter in adapters.values():
        adapter.requests = []
        adapter.answers = {}


class Adapter:
    """Records its calls, and returns or raises what ``answers`` has for a method."""

    requests: ClassVar[list[tuple[str, UUID, Any]]] = []
    answers: ClassVar[dict[str, Any]] = {}

    def ask(self, method: str, key: UUID, request: Any, default: Any = None) -> Any:
        type(self).requests.append((method, key, request))
        answer = self.answers.get(method, default)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @classmethod
    def calls(cls, method: str) -> list[Any]:
        return [request for name, _key, request in cls.requests if name == method]

    @classmethod
    def keys(cls) -> list[UUID]:
        return [key for _name, key, _request in cls.requests]


class Gateway(Adapter, ManualPayments):
    """A payment gateway."""

    def capture(self, *, key: UUID, **request: Any) -> Any:
        answer = PaymentAnswer(is_done=True, reference=f"capture-{key}")
        return self.ask("capture", key, request, answer)

    def void(self, *, key: UUID, **request: Any) -> Any:
        return self.ask("void", key, request, PaymentAnswer(is_done=True, reference="void-1"))

    def refund(self, *, key: UUID, **request: Any) -> Any:
        return self.ask("refund", key, request, PaymentAnswer(is_done=True, reference="refund-1"))


class Carrier(Adapter):
    """A carrier."""

    def book(self, parcel: Parcel, *, key: UUID) -> Booking | None:
        booking = Booking(carrier="Sample Post", tracking_number="SP1")
        return self.ask("book", key, parcel, booking)

    def track(self, parcel: Parcel, *, key: UUID) -> Tracking | None:
        return self.ask("track", key, parcel)


class Doubter(Adapter):
    """A risk check that wants every order reviewed."""

    def assess(self, placed: Sequence[OrderEvent], *, key: UUID) -> Assessment:
        return self.ask("assess", key, placed, Assessment(needs_review=True, note="large"))


class Postman(Adapter):
    """A notifier."""

    def send(self, notice: Notice, *, key: UUID) -> None:
        self.ask("send", key, notice)
