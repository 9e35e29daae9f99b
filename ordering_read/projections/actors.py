"""How whoever has done something is called."""

from ordering_write.published import events as e


def actor_name(actor: e.Actor) -> str:
    """Their name; when they have none, what they are and their id."""
    return actor.label or f"{actor.type} {actor.id}"
