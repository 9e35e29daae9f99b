"""The user of the order service, and the links that are mailed to customers."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.db.models import F
from uuid_utils.compat import uuid7


class User(AbstractUser):
    """A person or a program that logs in.

    ``customer_id`` is the customer whose orders this user may see and place. It is None for staff
    and integrations: they act for every customer (permission ``act_for_every_customer``).

    A new password, the loss of the password, and a deactivation end the user's sessions and tokens.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer_id = models.UUIDField(
        null=True,
        blank=True,
        help_text="The customer that this user is, for users of the role Customer.",
    )
    session_epoch = models.IntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="The number of times that all sessions of the user were ended.",
    )

    # True from ``set_unusable_password`` until the user is saved.
    _has_lost_password = False

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(fields=["customer_id"], name="user_customer_unique"),
        ]

    def set_unusable_password(self) -> None:
        super().set_unusable_password()
        self._has_lost_password = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        # Django keeps a new password until it is saved, but not the password of a renewed hash.
        is_password_new = self._password is not None  # type: ignore[attr-defined]
        has_other_password = is_password_new or self._has_lost_password
        if self._state.adding or (self.is_active and not has_other_password):
            super().save(*args, **kwargs)
            return
        with transaction.atomic():
            super().save(*args, **kwargs)
            self.end_access()
        self._has_lost_password = False

    def end_access(self) -> int:
        """End all sessions of the user and revoke all tokens. Returns the number of tokens."""
        with transaction.atomic():
            tokens, _ = self.auth_token_set.all().delete()  # type: ignore[attr-defined]
            User.objects.filter(pk=self.pk).update(session_epoch=F("session_epoch") + 1)
            self.refresh_from_db(fields=["session_epoch"])
        return int(tokens)

    def keep_permissions(self, names: Iterable[str]) -> None:
        """Keep ``names`` as all permissions of the user and of the user's groups."""
        self._perm_cache = set(names)

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Return True if the user holds the permission ``perm``."""
        permissions = vars(self).get("_perm_cache")
        if permissions is None or self.is_superuser or not self.is_active or obj is not None:
            return super().has_perm(perm, obj)
        # Django would ask each backend, and look for the backends each time.
        return perm in permissions

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Return the text that a session of this user holds: it ends when the text changes."""
        digest: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        # The first epoch has Django's text, so that the sessions of an older release go on.
        return f"{digest}{self.session_epoch or ''}"


class MailedLink(models.Model):
    """A link that somebody asked for, until it is used, replaced by a newer one, or too old.

    ``email`` and ``order_number`` are what was typed. When the mail is sent, ``email`` is emptied,
    and the link is for the account of ``customer_id``, or for ``order_id`` alone.
    """

    subject = models.CharField(
        primary_key=True,
        max_length=64,
        help_text="A digest of the address and the number: a new link replaces the one before.",
    )
    key = models.UUIDField(unique=True)
    email = models.CharField(max_length=254, blank=True)
    order_number = models.CharField(max_length=100, blank=True)
    origin = models.CharField(max_length=300, help_text="The scheme and host of the link.")
    customer_id = models.UUIDField(null=True, blank=True, db_index=True)
    order_id = models.UUIDField(null=True, blank=True)
    asked_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "mailed_link"
        default_permissions = ()

    def __str__(self) -> str:
        return f"the link that was asked for at {self.asked_at}"


class SavedView(models.Model):
    """The filters of the list of orders, which a person keeps under a name."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    query = models.CharField(
        max_length=2000, help_text="The query string of the filters, without a search."
    )
    is_shared = models.BooleanField(
        default=False, db_index=True, help_text="Everybody who sees orders sees the view."
    )

    class Meta:
        db_table = "saved_view"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="saved_view_name_unique")
        ]

    def __str__(self) -> str:
        return self.name
