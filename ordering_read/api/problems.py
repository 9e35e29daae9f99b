"""Registers the problem of each error of the read side."""

from config.http.answers.problems import register
from ordering_read.engine.freshness import ProjectionBehindError
from ordering_write.published import parked, webhooks


def register_all() -> None:
    """Register the errors that the write side hasn't registered."""
    register(
        ProjectionBehindError,
        slug="projection-behind",
        status=503,
        title="Projection behind",
        advice="Send the same request again after the seconds that Retry-After names. Nothing is "
        "lost: the command was accepted. If projection_gap isn't null, its reason must end first: "
        "a parked event is retried by an operator, and a stopped projection by the workers.",
        retry_after=1,
    )
    register(
        parked.EventWaitsError,
        slug="event-waits",
        status=409,
        title="Event waits",
        advice="List the parked events of the stream and retry or skip the first one.",
    )
    register(
        parked.EventSkippedError,
        slug="event-skipped",
        status=409,
        title="Event skipped",
        advice="Nothing is left to do: rebuild the projection if the event is needed after all.",
    )
    register(
        webhooks.endpoints.EndpointNameTakenError,
        slug="endpoint-name-taken",
        status=409,
        title="Name taken",
        advice="Choose another name, or change the endpoint that has this one.",
    )
    register(
        webhooks.endpoints.PositionAheadError,
        slug="position-ahead",
        status=409,
        title="Position ahead of the log",
        advice="Read /api/v1/feed to see where the log ends, and choose an earlier position.",
    )
    register(
        webhooks.delivery_log.DeliveryDoneError,
        slug="delivery-done",
        status=409,
        title="Delivery done",
        advice="Nothing is left to do: later events of the stream follow already.",
    )
    register(
        webhooks.delivery_log.DeliveryWaitsError,
        slug="delivery-under-way",
        status=409,
        title="Delivery under way",
        advice="Read the delivery again in half a minute: a worker is sending it.",
    )
