"""The names of actors for people."""

from ordering_write.published import events as e


def actor_name(actor: e.Actor) -> str:
    """Return the label of an actor; its type and id when it has none."""
    return actor.label or f"{actor.type} {actor.id}"
