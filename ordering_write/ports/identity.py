"""Who somebody is that gives commands."""

from typing import Protocol, cast, runtime_checkable

from config.accounts.models import User
from ordering_write.domain.values import Actor
from ordering_write.ports.base import adapter


@runtime_checkable
class IdentityPort(Protocol):
    """Tells who acts; asked for every command that a user gives."""

    def actor(self, user: User) -> Actor:
        """The actor that is recorded with what ``user`` does."""
        ...


class DjangoIdentity:
    """A user of ours acts as that user, under the user name; that of a customer isn't told."""

    def actor(self, user: User) -> Actor:
        # The log keeps its actors for good, and customers can be erased.
        return Actor.user(user.pk, "customer" if user.customer_id else user.get_username())


def identity_port() -> IdentityPort:
    """The adapter that settings.PORTS names."""
    return cast(IdentityPort, adapter("identity"))
