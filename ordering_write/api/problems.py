"""How the refusals of the domain look over HTTP."""

from config.http.answers.problems import register
from ordering_write.domain import errors
from ordering_write.log import UndecodableEventError


def register_all() -> None:
    """Register every refusal: the kind of problem that it is, and its status.

    The text of an error says what is the matter; the advice is for the page of the problem. The
    first problem of a status is its example in the OpenAPI document.
    """
    _register_repeats()
    _register_requests()
    _register_orders()
    _register_parts_of_orders()
    _register_stock_and_customers()
    # What a payload brought a parser to say may quote it.
    register(
        UndecodableEventError,
        slug="event-unreadable",
        status=500,
        title="Event unreadable",
        meaning="The log holds an event that this version of the service can't read. What needs it "
        "can't be told or tried until it can; nothing is lost.",
        advice="To send the request again doesn't help. An order can be read without consistency, "
        "version and as_of: its row is there. The answer names the event; whoever runs the service "
        "finds the reason in its logs and by manage.py verify_log, and deploys the version that "
        "wrote the event, or one with an upcaster for it.",
        own_text=False,
    )
    register(
        errors.NotFoundError,
        slug="not-found",
        status=404,
        title="Not found",
    )
    register(
        errors.NotPermittedError,
        slug="permission-denied",
        status=403,
        title="Permission denied",
    )
    register(
        errors.RefundLimitError,
        slug="refund-limit",
        status=403,
        title="Refund limit",
        advice="Refund less, or ask somebody who may refund any amount.",
    )


def _register_requests() -> None:
    register(
        errors.InsufficientInventoryError,
        slug="insufficient-inventory",
        status=400,
        title="Insufficient inventory",
        advice="Order fewer units of the products that the answer lists under shortages.",
    )
    register(
        errors.FieldError,
        slug="validation",
        status=422,
        title="Validation failed",
    )
    register(
        errors.PriceMismatchError,
        slug="price-mismatch",
        status=422,
        title="Price mismatch",
        advice="Send the list price that the answer names under expected.",
    )
    register(
        errors.MixedCurrencyError,
        slug="mixed-currency",
        status=422,
        title="Mixed currency",
        advice="Order in the currency in which the product is sold.",
    )
    register(
        errors.IdempotencyKeyReusedError,
        slug="idempotency-key-reused",
        status=422,
        title="Idempotency key reused",
        advice="Take a new key for a new command, or send exactly what you sent first.",
    )


def _register_orders() -> None:
    _register_conflicts(
        (
            errors.InvalidOperationError,
            "invalid-operation",
            "Not possible now",
            "Read the order again and choose among what is possible now.",
        ),
        (
            errors.InvalidTransitionError,
            "invalid-transition",
            "Invalid transition",
            "Move the order to one of the statuses that the answer lists as allowed_transitions.",
        ),
        (
            errors.OrderAlreadyShippedError,
            "already-shipped",
            "Already shipped",
            "What has left the house comes back as a return.",
        ),
        (
            errors.OrderOnHoldError,
            "order-on-hold",
            "Order on hold",
            "Release the hold first, or wait until the shop does.",
        ),
        (
            errors.AlreadyOnHoldError,
            "already-on-hold",
            "Already on hold",
            "Release the hold before you place another one.",
        ),
        (
            errors.NotOnHoldError,
            "not-on-hold",
            "Not on hold",
            "Go on: there is no hold to release.",
        ),
        (
            errors.NotExpiredError,
            "not-expired",
            "Not expired",
            "Cancel the order, or wait until its time to pay has passed.",
        ),
        (
            errors.NotEditableError,
            "not-editable",
            "Not editable",
            "Cancel what is still open and place another order for the rest.",
        ),
        (
            errors.TooManyLinesError,
            "too-many-lines",
            "Too many lines",
            "Place another order for the rest.",
        ),
        (errors.TooManyTagsError, "too-many-tags", "Too many tags", "Take a tag off first."),
    )


def _register_parts_of_orders() -> None:
    _register_conflicts(
        (
            errors.PaymentRequiredError,
            "payment-required",
            "Payment required",
            "Record the payment, then pack the order.",
        ),
        (
            errors.QuantityExceedsOpenError,
            "exceeds-open",
            "More than is open",
            "Ask for no more units than are neither cancelled nor packed nor shipped.",
        ),
        (
            errors.ShipmentStateError,
            "wrong-shipment-state",
            "Not possible with this shipment",
            "Read the order again: the shipment has left, has arrived or was voided meanwhile.",
        ),
        (
            errors.ExceedsDeliveredError,
            "exceeds-delivered",
            "More than was delivered",
            "Return no more units than were delivered and aren't returned yet.",
        ),
        (
            errors.ExceedsRequestedError,
            "exceeds-requested",
            "More than was to be returned",
            "Request another return for the units that came beside it.",
        ),
        (
            errors.ReturnWindowClosedError,
            "return-window-closed",
            "Return window closed",
            "Ask the shop whether it takes the units all the same.",
        ),
        (
            errors.ReturnClosedError,
            "return-closed",
            "Return closed",
            "Request another return for what is to come back yet.",
        ),
        (
            errors.ExceedsCapturedError,
            "exceeds-captured",
            "More than was captured",
            "Refund no more than was captured and isn't refunded or asked to be.",
        ),
        (
            errors.PaymentMismatchError,
            "payment-mismatch",
            "Payment mismatch",
            "Send the amount that was recorded first, or another payment_id for another payment.",
        ),
    )


def _register_stock_and_customers() -> None:
    _register_conflicts(
        (
            errors.WouldGoNegativeError,
            "would-go-negative",
            "Would go negative",
            "Adjust by fewer units, or cancel orders that have reserved them.",
        ),
        (
            errors.DuplicateSkuError,
            "duplicate-sku",
            "Duplicate SKU",
            "Choose another SKU, or receive stock of the product that has it.",
        ),
        (
            errors.DuplicateProductError,
            "duplicate-product",
            "Duplicate product",
            "Leave product_id out to get a new one, or receive stock of the known product.",
        ),
        (
            errors.CustomerBlockedError,
            "customer-blocked",
            "Customer blocked",
            "Ask the shop to unblock the customer.",
        ),
        (
            errors.CustomerErasedError,
            "customer-erased",
            "Customer erased",
            "Register the customer anew.",
        ),
        (
            errors.HasOpenOrdersError,
            "has-open-orders",
            "Open orders",
            "Complete or cancel the customer's orders first.",
        ),
        (
            errors.DuplicateEmailError,
            "duplicate-email",
            "Duplicate e-mail",
            "Use the customer that has this e-mail address.",
        ),
        (
            errors.DuplicateCustomerError,
            "duplicate-customer",
            "Duplicate customer",
            "Leave customer_id out to get a new one.",
        ),
    )


def _register_repeats() -> None:
    register(
        errors.ConcurrentUpdateError,
        slug="concurrent-update",
        status=409,
        title="Concurrent update",
        advice="Send the same request again.",
        retry_after=1,
    )
    _register_conflicts(
        (
            errors.DuplicateReferenceError,
            "duplicate-reference",
            "Duplicate reference",
            "Use another external_reference; the order that has this one stands.",
        ),
        (
            errors.IdempotencyKeyExpiredError,
            "idempotency-key-expired",
            "Idempotency key expired",
            "Read what the first request has done; take a new key for a new command.",
        ),
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
        advice="The answer lists under events_since what has happened; read it again and decide "
        "again.",
    )


def _register_conflicts(*rows: tuple[type[Exception], str, str, str]) -> None:
    """Register errors by what they answer: slug, title and advice, all of them 409."""
    for error, slug, title, advice in rows:
        register(error, slug=slug, status=409, title=title, advice=advice)
