"""The states that events tell of, and the words in which they give reasons."""

from enum import StrEnum


class OrderStatus(StrEnum):
    """Where an order is on its way; derived from the ledger of its lines, never set."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


# From each status, the statuses that a whole order can be moved to.
WHOLE_ORDER_MOVES: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    OrderStatus.PENDING: (OrderStatus.CONFIRMED, OrderStatus.CANCELLED),
    OrderStatus.CONFIRMED: (OrderStatus.PROCESSING, OrderStatus.SHIPPED, OrderStatus.CANCELLED),
    OrderStatus.PROCESSING: (OrderStatus.SHIPPED, OrderStatus.CANCELLED),
    OrderStatus.PARTIALLY_SHIPPED: (OrderStatus.SHIPPED,),
    OrderStatus.SHIPPED: (OrderStatus.DELIVERED, OrderStatus.COMPLETED),
    OrderStatus.DELIVERED: (OrderStatus.COMPLETED,),
    OrderStatus.COMPLETED: (),
    OrderStatus.CANCELLED: (),
}

# The statuses in which something is left to be done with goods, and so something to hold.
LIVE = frozenset(
    (
        OrderStatus.PENDING,
        OrderStatus.CONFIRMED,
        OrderStatus.PROCESSING,
        OrderStatus.PARTIALLY_SHIPPED,
    )
)


class PaymentStatus(StrEnum):
    """How an order stands with its money; derived from what was authorized, captured, refunded."""

    UNPAID = "unpaid"
    AUTHORIZED = "authorized"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    CREDIT_OWED = "credit_owed"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    VOIDED = "voided"


class FulfilmentStatus(StrEnum):
    """How far an order's goods are on their way; derived from the ledger of its lines."""

    UNFULFILLED = "unfulfilled"
    ON_HOLD = "on_hold"
    IN_PROGRESS = "in_progress"
    PARTIAL = "partial"
    FULFILLED = "fulfilled"


class ReturnStatus(StrEnum):
    """What comes back of an order; derived from the ledger of its lines."""

    NONE = "none"
    REQUESTED = "requested"
    PARTIAL = "partial"
    RETURNED = "returned"


class HoldReason(StrEnum):
    """Why goods must not move."""

    FRAUD_REVIEW = "fraud_review"
    PAYMENT = "payment"
    ADDRESS = "address"
    STOCK = "stock"
    CUSTOMER_REQUEST = "customer_request"
    OTHER = "other"


class PaymentKind(StrEnum):
    """What has happened to a payment."""

    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    VOIDED = "voided"


class DeliveryFailure(StrEnum):
    """What became of a shipment that didn't arrive."""

    LOST = "lost"
    RETURNED_TO_SENDER = "returned_to_sender"


class ReturnReason(StrEnum):
    """Why a customer sends something back."""

    DAMAGED = "damaged"
    WRONG_ITEM = "wrong_item"
    NOT_AS_DESCRIBED = "not_as_described"
    UNWANTED = "unwanted"
    LATE = "late"
    OTHER = "other"


class Visibility(StrEnum):
    """Who may read a note: the shop only, or the customer too."""

    INTERNAL = "internal"
    CUSTOMER = "customer"


class AdjustmentReason(StrEnum):
    """Why the books of a product were wrong."""

    COUNT = "count"
    DAMAGE = "damage"
    THEFT = "theft"
    FOUND = "found"
    CORRECTION = "correction"
