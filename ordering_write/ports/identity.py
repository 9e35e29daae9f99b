"""The identity of users who give commands."""

from typing import Protocol, cast, runtime_checkable

from config.accounts.models import User
from ordering_write.domain.values import Actor
from ordering_write.ports.base import adapter


@runtime_checkable
class IdentityPort(Protocol):
    """Names the actor of a user; called for every command that a user gives."""

    def actor(self, user: User) -> Actor:
        """Return the actor that the events of the user's commands record."""
        ...


class DjangoIdentity:
    """Names staff by their user name, and customers by the word "customer"."""

    def actor(self, user: User) -> Actor:
        # The log keeps its actors for good, but customers can be erased.
        return Actor.user(user.pk, "customer" if user.customer_id else user.get_username())


def identity_port() -> IdentityPort:
    """Return the adapter that settings.PORTS names."""
    return cast(IdentityPort, adapter("identity"))
