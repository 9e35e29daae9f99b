"""The problems that answer the refusals of the domain over HTTP."""

from collections.abc import Mapping

from config.http.answers.problems import register
from ordering_write.domain import errors
from ordering_write.log import DetachedEventsError, LogUnavailableError, UndecodableEventError

# Errors that are answered with 409: the slug of the problem, and the advice on its page.
_CONFLICTS: Mapping[type[Exception], tuple[str, str]] = {
    errors.InvalidOperationError: (
        "invalid-operation",
        "Read the order again, and choose one of its actions.",
    ),
    errors.InvalidTransitionError: (
        "invalid-transition",
        "Move the order to one of the statuses that the answer lists as allowed_transitions.",
    ),
    errors.OrderAlreadyShippedError: ("already-shipped", "Request a return of the shipped units."),
    errors.OrderOnHoldError: (
        "order-on-hold",
        "Release the hold first, or wait until the shop does.",
    ),
    errors.AlreadyOnHoldError: (
        "already-on-hold",
        "Release the hold before you place another one.",
    ),
    errors.NotOnHoldError: ("not-on-hold", "Nothing to do: the order has no hold."),
    errors.NotExpiredError: (
        "not-expired",
        "Cancel the order, or wait until its time to pay has passed.",
    ),
    errors.NotEditableError: (
        "not-editable",
        "Cancel the open units and place another order for the rest.",
    ),
    errors.TooManyAdjustmentsError: (
        "too-many-adjustments",
        "Remove adjustments, and add one for all of them.",
    ),
    errors.TooManyLinesError: ("too-many-lines", "Place another order for the rest."),
    errors.TooManyTagsError: ("too-many-tags", "Take a tag off first."),
    errors.TooManyPairsError: ("too-many-pairs", "Remove a pair first: give its key null."),
    errors.PaymentRequiredError: ("payment-required", "Record the payment, then pack the order."),
    errors.QuantityExceedsOpenError: (
        "exceeds-open",
        "Send at most the units that are neither cancelled nor packed nor shipped.",
    ),
    errors.DiscontinuedError: (
        "discontinued",
        "Leave the quantity as it is, lower it, or ask the shop to sell the product again.",
    ),
    errors.ExceedsStockError: (
        "exceeds-stock",
        "Pack what is in stock, or wait until the rest has come in.",
    ),
    errors.RequiresShippingError: (
        "requires-shipping",
        "Pack the units that require shipping, and hand over the others.",
    ),
    errors.ShipmentStateError: (
        "wrong-shipment-state",
        "Read the order again: the shipment was dispatched, delivered or voided meanwhile.",
    ),
    errors.LabelledError: (
        "parcel-labelled",
        "Void the shipment, change the address, and pack the units again.",
    ),
    errors.ExceedsDeliveredError: (
        "exceeds-delivered",
        "Return at most the units that were delivered and aren't returned yet.",
    ),
    errors.ExceedsRequestedError: (
        "exceeds-requested",
        "Request another return for the additional units.",
    ),
    errors.ReturnWindowClosedError: (
        "return-window-closed",
        "Ask the shop whether it still takes the units.",
    ),
    errors.ReturnClosedError: (
        "return-closed",
        "Request another return for the units that are still to come back.",
    ),
    errors.ExchangeNotDueError: (
        "exchange-not-due",
        "Place the exchange of a return once all of its units were received or rejected.",
    ),
    errors.ExceedsCapturedError: (
        "exceeds-captured",
        "Refund at most the amount that was captured and isn't refunded or requested yet.",
    ),
    errors.ExceedsAuthorizedError: (
        "exceeds-authorized",
        "Capture at most the amount that is authorized and isn't captured or requested yet.",
    ),
    errors.NoAttentionNeededError: (
        "no-attention-needed",
        "Read the order again: somebody has looked at its money meanwhile.",
    ),
    errors.NothingToCaptureError: (
        "nothing-to-capture",
        "Dispatch units first, or capture at most the balance of the order.",
    ),
    errors.ExceedsTotalError: (
        "exceeds-total",
        "Send at most what the order, or the line, still costs.",
    ),
    errors.PriceRiseError: (
        "price-rise",
        "Charge the rest of the order, or place another order.",
    ),
    errors.PaymentMismatchError: (
        "payment-mismatch",
        "Send the amount that was recorded first; give another fact a reference of its own.",
    ),
    errors.WouldGoNegativeError: (
        "would-go-negative",
        "Adjust by fewer units, or cancel orders that have reserved them.",
    ),
    errors.TooManyExpectationsError: (
        "too-many-expectations",
        "Expect 0 units at times that have passed, or at those that you can add up.",
    ),
    errors.DuplicateSkuError: (
        "duplicate-sku",
        "Choose another SKU, or receive stock of the product that has it.",
    ),
    errors.DuplicateProductError: (
        "duplicate-product",
        "Leave product_id out to get a new id, or receive stock of the existing product.",
    ),
    errors.CustomerBlockedError: ("customer-blocked", "Ask the shop to unblock the customer."),
    errors.TooManyOpenOrdersError: (
        "too-many-open-orders",
        "Wait until open orders are sent, cancel some, or ask the shop.",
    ),
    errors.TooManyOpenUnitsError: (
        "too-many-open-units",
        "Order fewer units, wait until open orders are sent, or ask the shop.",
    ),
    errors.CustomerErasedError: ("customer-erased", "Register a new customer."),
    errors.HasOpenOrdersError: (
        "has-open-orders",
        "Complete or cancel the customer's orders first.",
    ),
    errors.DuplicateEmailError: (
        "duplicate-email",
        "Use the customer that has this e-mail address.",
    ),
    errors.DuplicateCustomerError: (
        "duplicate-customer",
        "Leave customer_id out to get a new one.",
    ),
    errors.DuplicateReferenceError: (
        "duplicate-reference",
        "Use another external_reference, or find the order that has this one.",
    ),
    errors.IdempotencyKeyExpiredError: (
        "idempotency-key-expired",
        "Read the effect of the first request; use a new key for a new command.",
    ),
}
# Titles that differ from their slug.
_TITLES = {
    "invalid-operation": "Not possible now",
    "exceeds-open": "More than is open",
    "exceeds-stock": "More than is in stock",
    "wrong-shipment-state": "Not possible with this shipment",
    "exceeds-delivered": "More than was delivered",
    "exceeds-requested": "More than was to be returned",
    "exceeds-captured": "More than was captured",
    "exceeds-authorized": "More than is authorized",
    "duplicate-sku": "Duplicate SKU",
    "has-open-orders": "Open orders",
    "duplicate-email": "Duplicate e-mail",
}


def register_all() -> None:
    """Register the problem of every refusal.

    The advice stands on the page of the problem; the text of the error is the detail of the answer.
    The first problem of a status is its example in the OpenAPI document.
    """
    _register_races()
    for error, (slug, advice) in _CONFLICTS.items():
        title = _TITLES.get(slug) or slug.replace("-", " ").capitalize()
        register(error, slug=slug, status=409, title=title, advice=advice)
    _register_wrong_requests()
    _register_forbidden()
    # No own text: the error of a parser may quote the payload.
    register(
        UndecodableEventError,
        slug="event-unreadable",
        status=500,
        title="Event unreadable",
        meaning="The log holds an event that this version of the service can't read. Requests that "
        "need the event fail until it can; nothing is lost.",
        advice="Sending the request again doesn't help. An order can still be read without the "
        "parameters consistency, version and as_of. The answer names the event; the operator finds "
        "the reason in the logs and with manage.py verify_log, and deploys the version that wrote "
        "the event, or a version with an upcaster for it.",
        own_text=False,
    )
    register(
        DetachedEventsError,
        slug="events-archived",
        status=503,
        title="Events in the archive",
        meaning="The request needs events that have left the database for the archive, and the "
        "archive can't be read now.",
        advice="Requests that need no such event go on, commands too. The operator finds the "
        "reason in the logs: ARCHIVE_URL isn't set, its packages aren't installed, a file is "
        "missing or was changed. manage.py attach brings the events back.",
        own_text=False,
        retry_after=60,
    )
    register(
        LogUnavailableError,
        slug="log-unavailable",
        status=503,
        title="Log unavailable",
        meaning="The request needs events of the stream that this site follows, and the stream "
        "can't be read now.",
        retry_after=10,
    )
    register(errors.NotFoundError, slug="not-found", status=404, title="Not found")


def _register_races() -> None:
    register(
        errors.ConcurrentUpdateError,
        slug="concurrent-update",
        status=409,
        title="Concurrent update",
        advice="Send the same request again.",
        retry_after=1,
    )
    register(
        errors.IdempotencyInFlightError,
        slug="idempotency-in-flight",
        status=409,
        title="Still in flight",
        advice="Send the same request again after a moment.",
        retry_after=1,
    )
    register(
        errors.VersionConflictError,
        slug="version-conflict",
        status=412,
        title="Version conflict",
        advice="Read the resource again and decide again. The answer lists under events_since what "
        "has changed.",
    )


def _register_wrong_requests() -> None:
    register(
        errors.InsufficientInventoryError,
        slug="insufficient-inventory",
        status=400,
        title="Insufficient inventory",
        advice="Order fewer units of the products that the answer lists under shortages.",
    )
    register(errors.FieldError, slug="validation", status=422, title="Validation failed")
    register(
        errors.PriceMismatchError,
        slug="price-mismatch",
        status=422,
        title="Price mismatch",
        advice="Send the list price that the answer names under expected.",
    )
    register(
        errors.ReferenceNeededError,
        slug="reference-needed",
        status=422,
        title="Reference needed",
        advice="Send the gateway's reference of this capture, void or other fact, or the time at "
        "which it happened.",
    )
    register(
        errors.MixedCurrencyError,
        slug="mixed-currency",
        status=422,
        title="Mixed currency",
        advice="Order in the currency in which the product is sold.",
    )
    register(
        errors.TooManyUnitsError,
        slug="too-many-units",
        status=422,
        title="Too many units",
        advice="Send fewer units, or use another product.",
    )
    register(
        errors.IdempotencyKeyReusedError,
        slug="idempotency-key-reused",
        status=422,
        title="Idempotency key reused",
        advice="Use a new key for a new command, or repeat the first request exactly.",
    )

    register(
        errors.ReservedCommandIdError,
        slug="reserved-command-id",
        status=422,
        title="Reserved command id",
        advice="Leave the id of the command out, or choose a random one.",
    )


def _register_forbidden() -> None:
    register(
        errors.NotPermittedError, slug="permission-denied", status=403, title="Permission denied"
    )
    register(
        errors.WebhookSignatureError,
        slug="wrong-signature",
        status=403,
        title="Wrong signature",
        advice="Sign the message with the secret of the shop, and send it at once.",
    )
    register(
        errors.RefundLimitError,
        slug="refund-limit",
        status=403,
        title="Refund limit",
        advice="Refund less, or ask a user who may refund any amount.",
    )
