"""Registers the problem of each error of the read side."""

from config.http.answers.problems import register
from ordering_read.engine.freshness import ProjectionBehindError
from ordering_write.published import parked


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
