"""The statuses and the reasons that events carry."""

from enum import StrEnum


class OrderStatus(StrEnum):
    """The status of an order, derived from the unit counters of its lines and never set."""

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

# The statuses in which goods can still move, and so can be held.
LIVE = frozenset(
    (
        OrderStatus.PENDING,
        OrderStatus.CONFIRMED,
        OrderStatus.PROCESSING,
        OrderStatus.PARTIALLY_SHIPPED,
    )
)


class PaymentStatus(StrEnum):
    """The status of the money, derived from the authorized, captured and refunded amounts."""

    UNPAID = "unpaid"
    AUTHORIZED = "authorized"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    CREDIT_OWED = "credit_owed"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    VOIDED = "voided"


class FulfilmentStatus(StrEnum):
    """The status of the goods, derived from the unit counters of the lines."""

    UNFULFILLED = "unfulfilled"
    ON_HOLD = "on_hold"
    IN_PROGRESS = "in_progress"
    PARTIAL = "partial"
    FULFILLED = "fulfilled"


class ReturnStatus(StrEnum):
    """The status of the returns, derived from the unit counters of the lines."""

    NONE = "none"
    REQUESTED = "requested"
    PARTIAL = "partial"
    RETURNED = "returned"


class HoldReason(StrEnum):
    """The reason for a hold."""

    FRAUD_REVIEW = "fraud_review"
    PAYMENT = "payment"
    ADDRESS = "address"
    STOCK = "stock"
    CUSTOMER_REQUEST = "customer_request"
    OTHER = "other"


class PaymentKind(StrEnum):
    """A fact about a payment; with a chargeback the bank takes captured money back."""

    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    VOIDED = "voided"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSED = "chargeback_reversed"


class Attention(StrEnum):
    """A reason for which a person must look at the money of an order."""

    OVER_CAPTURED = "over_captured"
    CHARGEBACK = "chargeback"
    OVER_REFUNDED = "over_refunded"
    REFUND_FAILED = "refund_failed"
    CAPTURE_FAILED = "capture_failed"


class DeliveryFailure(StrEnum):
    """The fate of a shipment that didn't arrive."""

    LOST = "lost"
    RETURNED_TO_SENDER = "returned_to_sender"


class ReturnReason(StrEnum):
    """The reason for a return."""

    DAMAGED = "damaged"
    WRONG_ITEM = "wrong_item"
    NOT_AS_DESCRIBED = "not_as_described"
    UNWANTED = "unwanted"
    LATE = "late"
    OTHER = "other"


class Visibility(StrEnum):
    """The readers of a note: the shop only, or the customer too."""

    INTERNAL = "internal"
    CUSTOMER = "customer"


class AdjustmentReason(StrEnum):
    """The reason for an adjustment of stock."""

    COUNT = "count"
    DAMAGE = "damage"
    THEFT = "theft"
    FOUND = "found"
    CORRECTION = "correction"
