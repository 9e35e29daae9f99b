"""The Customer aggregate: who may order."""

from uuid import UUID

from django.db import models
from django.db.models.functions import Lower

from ordering_write.domain import events as e
from ordering_write.domain.events import Person
from ordering_write.models.aggregate import Aggregate


class Customer(Aggregate):
    """Somebody who orders. Only active customers can."""

    stream_prefix = "customer"

    class Status(models.TextChoices):
        ACTIVE = "active"
        BLOCKED = "blocked"

    customer_id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    email = models.CharField(max_length=254)
    phone = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.ACTIVE)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(Lower("email"), name="customer_email_unique"),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def register(cls, registered: e.CustomerRegistered) -> "Customer":
        """A new customer."""
        customer = cls()
        customer._raise_event(registered)
        return customer

    def apply(self, event: e.DomainEvent) -> None:
        match event:
            case e.CustomerRegistered():
                self.customer_id = event.customer_id
                self.name = event.name
                self.email = event.email
                self.phone = event.phone

    @property
    def person(self) -> Person:
        """The customer as an order remembers one."""
        return Person(name=self.name, email=self.email)

    @classmethod
    def find(cls, customer_id: UUID) -> "Customer | None":
        """The customer, whose row stays as it is until the end of the transaction."""
        # FOR SHARE: orders of one customer don't wait for each other, blocking one waits for them.
        return next(
            iter(
                cls.objects.raw(
                    "SELECT * FROM ordering_write_customer WHERE customer_id = %s FOR SHARE",
                    [customer_id],
                )
            ),
            None,
        )

    def write(self) -> None:
        self.save_base(force_insert=self._saved_version == 0)
