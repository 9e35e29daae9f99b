"""The base of the refusals, and the refusals of unknown ids."""

from typing import ClassVar

from config.fields.members import DetailedError


class DomainError(DetailedError):
    """The request was refused."""

    # True if the message can quote a person's name or address: it is never stored then.
    quotes_person: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class NoHandlerFoundError(DomainError):
    """No handler is registered for this command or query."""


# --- Nothing has this id -------------------------------------------------------------------------
class NotFoundError(DomainError):
    """There is nothing with this id."""


class OrderNotFoundError(NotFoundError):
    """Order not found"""


class ProductNotFoundError(NotFoundError):
    """Product not found"""


class CustomerNotFoundError(NotFoundError):
    """Customer not found"""


class ShipmentNotFoundError(NotFoundError):
    """The order has no such shipment."""


class ReturnNotFoundError(NotFoundError):
    """The order has no such return."""


class RefundNotFoundError(NotFoundError):
    """The order has no such refund."""


class AdjustmentNotFoundError(NotFoundError):
    """The order has no such adjustment."""


class NoteNotFoundError(NotFoundError):
    """The order has no such note."""
