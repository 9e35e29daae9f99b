"""The names of actors for people."""

from ordering_write.published import events as e


def actor_name(actor: e.Actor) -> str:
    """Return the label of an actor; its type and id when it has none.

    Earlier releases stored the name of a policy as its label: such a label is shown as words.
    """
    if actor.type == "policy" and actor.label == actor.id:
        return f"Automatic {actor.id.replace('_', ' ')}"
    return actor.label or f"{actor.type} {actor.id}"
