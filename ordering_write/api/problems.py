"""How the refusals of the domain look over HTTP."""

from config.http.problems import register
from ordering_write.domain import errors


def register_all() -> None:
    """Register every refusal: the kind of problem that it is, and its status."""
    _register_requests()
    _register_conflicts()
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


def _register_conflicts() -> None:
    for error, slug, title, advice in (
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
            errors.CustomerBlockedError,
            "customer-blocked",
            "Customer blocked",
            "Ask the shop to unblock the customer.",
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
    ):
        register(error, slug=slug, status=409, title=title, advice=advice)
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
        advice="The answer lists under events_since what has happened; read it again and decide "
        "again.",
    )
