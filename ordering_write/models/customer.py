"""The Customer aggregate: who may order."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from config.databases import tables
from ordering_write.domain import events as e
from ordering_write.domain import metadata
from ordering_write.domain.errors import CustomerErasedError, CustomerNotFoundError
from ordering_write.domain.events import Person
from ordering_write.domain.values import ERASED
from ordering_write.models import unit_of_work
from ordering_write.models.aggregate import Aggregate
from ordering_write.models.identifier import Identifier


class Customer(Aggregate):
    """A person or a company that orders. Only active customers can order."""

    stream_prefix = "customer"
    id_field = "customer_id"
    anonymized_by = e.CustomerErased

    class Status(models.TextChoices):
        ACTIVE = "active"
        BLOCKED = "blocked"
        ERASED = "erased"

    customer_id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    email = models.CharField(max_length=254)
    phone = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.ACTIVE)
    metadata = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField())
    )

    class Meta:
        default_permissions = ()
        constraints = [
            # All erased customers have the same e-mail address.
            models.UniqueConstraint(
                Lower("email"), name="customer_email_unique", condition=~Q(status="erased")
            ),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The address since the row was loaded, empty once erased; None if it is the same.
        self._new_email: str | None = None

    def __str__(self) -> str:
        return self.name

    @classmethod
    def register(cls, registered: e.CustomerRegistered) -> "Customer":
        """Return a new customer."""
        customer = cls()
        customer._raise_event(registered)
        return customer

    def change_details(
        self,
        *,
        name: str | None = None,
        email: str | None = None,
        phone: str | None = None,
        now: datetime,
    ) -> None:
        """Change the given details; values that the customer has already change nothing."""
        self.refuse_if_erased()
        details = {"name": name, "email": email, "phone": phone}
        changes = {
            field: value
            for field, value in details.items()
            if value is not None and value != getattr(self, field)
        }
        if changes:
            self._raise_event(
                e.CustomerDetailsChanged(timestamp=now, customer_id=self.customer_id, **changes)
            )

    def set_metadata(self, changes: Mapping[str, str | None], *, now: datetime) -> None:
        """Set pairs of the metadata; None removes a pair. Equal pairs change nothing."""
        self.refuse_if_erased()
        if merge := metadata.merge(self.metadata, changes):
            self._raise_event(
                e.CustomerMetadataChanged(
                    timestamp=now, customer_id=self.customer_id, **merge._asdict()
                )
            )

    def block(self, reason: str, *, now: datetime) -> None:
        """Keep the customer from ordering; a blocked customer stays blocked."""
        self.refuse_if_erased()
        if self.status == self.Status.ACTIVE:
            self._raise_event(
                e.CustomerBlocked(timestamp=now, customer_id=self.customer_id, reason=reason)
            )

    def unblock(self, reason: str, *, now: datetime) -> None:
        """Let the customer order again; an active customer stays active."""
        self.refuse_if_erased()
        if self.status == self.Status.BLOCKED:
            self._raise_event(
                e.CustomerUnblocked(timestamp=now, customer_id=self.customer_id, reason=reason)
            )

    def erase(self, reason: str, *, erased: Mapping[str, int], now: datetime) -> None:
        """Erase the personal fields for good; ``erased`` counts other deleted records, by kind."""
        self.refuse_if_erased()
        self._raise_event(
            e.CustomerErased(
                timestamp=now, customer_id=self.customer_id, reason=reason, erased=dict(erased)
            )
        )

    def refuse_if_erased(self) -> None:
        """Raise CustomerErasedError for a customer who was erased."""
        if self.status == self.Status.ERASED:
            raise CustomerErasedError

    def evolve(self, event: e.DomainEvent) -> None:
        match event:
            case e.CustomerRegistered():
                self.customer_id = event.customer_id
                self.name = event.name
                self.email = self._new_email = event.email
                self.phone = event.phone
            case e.CustomerDetailsChanged():
                for field in ("name", "email", "phone"):
                    if (value := getattr(event, field)) is not None:
                        setattr(self, field, value)
                self._new_email = event.email or self._new_email
            case e.CustomerMetadataChanged():
                self.metadata = event.merged(self.metadata)
            case e.CustomerBlocked():
                self.status = self.Status.BLOCKED
            case e.CustomerUnblocked():
                self.status = self.Status.ACTIVE
            case e.CustomerErased():
                self.status = self.Status.ERASED
                self.name = self.email = ERASED
                self._new_email = ""
                self.phone = ""
                self.metadata = {}

    @property
    def person(self) -> Person:
        """The name and the e-mail address, as an order keeps them."""
        return Person(name=self.name, email=self.email)

    @classmethod
    def find(cls, customer_id: UUID, *, alone: bool = False) -> "Customer | None":
        """Return the customer or None; the row can't change until the end of the transaction.

        With ``alone``, other callers for the same customer wait until then.
        """
        # FOR SHARE: orders of a customer don't wait for each other; blocking the customer waits.
        unit = unit_of_work.current()
        if unit and (customer := unit.find(cls, customer_id)):
            return customer
        lock = "FOR UPDATE" if alone else "FOR SHARE"
        return next(iter(tables.find(cls, f"customer_id = %s {lock}", [customer_id])), None)

    def claim_email(self) -> UUID:
        """Claim the e-mail address of this new customer; return the id of the address's owner.

        The owner is another customer who had the address before, if there is one. A parallel claim
        of the address waits until the end of the transaction.
        """
        owner_id = Identifier.claim(Identifier.Kind.EMAIL, self.email, self.pk)
        if owner_id == self.pk:
            self._new_email = None
        return owner_id

    @classmethod
    def load(cls, customer_id: UUID, *, customer_scope: UUID | None = None) -> "Customer":
        """Return the customer, the row locked until the end of the transaction.

        Raises CustomerNotFoundError when there is no such customer, or when ``customer_scope`` is
        the id of another customer.
        """
        is_visible = customer_scope in (None, customer_id)
        rows = cls.lock("customer_id = %s", [customer_id]) if is_visible else []
        customer = next(iter(rows), None)
        if customer is None:
            raise CustomerNotFoundError
        return customer

    @classmethod
    def write_all(cls, aggregates: "Sequence[Customer]") -> None:
        super().write_all(aggregates)
        for customer in aggregates:
            customer._write_identifier()

    def _write_identifier(self) -> None:
        kind, email = Identifier.Kind.EMAIL, self._new_email
        if email is None:
            return
        if self._saved_version:
            Identifier.release(kind, self.pk)
        if email:
            tables.insert([Identifier.of(kind, email, self.pk)])
        self._new_email = None
