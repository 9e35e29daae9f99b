"""The read model of customers: one row per customer."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Collate, Upper

from config.fields.text import KEY_LENGTH
from ordering_read.models.base import KEY_HELP
from ordering_read.models.stream_row import StreamRow


class CustomerSummary(StreamRow):
    """A customer as lists and pages show it."""

    projection_name: ClassVar[str] = "customer_view"
    documents = {"metadata": dict[str, str]}

    class Status(models.TextChoices):
        ACTIVE = "active"
        BLOCKED = "blocked"
        ERASED = "erased"

    customer_id = models.UUIDField()
    name = models.CharField(max_length=200)
    email = models.CharField(max_length=254)
    email_key = models.CharField(
        max_length=KEY_LENGTH, blank=True, default="", db_default="", help_text=KEY_HELP
    )
    phone = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=20, choices=Status)
    metadata = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField())
    )
    registered_at = models.DateTimeField()

    class Meta:
        db_table = "customer_view"
        default_permissions = ()
        verbose_name = "customer"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "customer_id"], name="customer_view_id_unique"
            ),
        ]
        indexes = [
            models.Index(
                "projection",
                models.F("registered_at").desc(),
                models.F("customer_id").desc(),
                name="customer_view_newest",
            ),
            models.Index(
                fields=["projection", "status", "registered_at", "customer_id"],
                name="customer_view_in_status",
            ),
            # For prefix searches, which are ranges in the collation "C".
            models.Index("projection", Collate(Upper("name"), "C"), name="customer_view_by_name"),
            models.Index("projection", Collate(Upper("email"), "C"), name="customer_view_by_email"),
            models.Index(fields=["projection", "email_key"], name="customer_view_by_email_key"),
            # Covers all generations: a GIN index of a number needs an extension.
            GinIndex(
                fields=["metadata"], condition=~Q(metadata={}), name="customer_view_by_metadata"
            ),
        ]

    def __str__(self) -> str:
        return self.name
