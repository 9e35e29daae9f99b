"""The user of the order service."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from uuid_utils.compat import uuid7


class User(AbstractUser):
    """A person or a program that logs in.

    ``customer_id`` is the customer whose orders this user may see and place. It is None for staff
    and integrations: they act for every customer (permission ``act_for_every_customer``).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer_id = models.UUIDField(
        null=True,
        blank=True,
        help_text="The customer that this user is, for users of the role Customer.",
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(fields=["customer_id"], name="user_customer_unique"),
        ]
