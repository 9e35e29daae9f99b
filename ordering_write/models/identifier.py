"""The identifiers that people type, in the form in which they are compared."""

from hashlib import sha256
from typing import Self
from uuid import UUID

from django.db import models

from config.fields.text import identity
from ordering_write.models.guarded import GuardedModel


class Identifier(GuardedModel):
    """An e-mail address, a SKU or an external reference, which belongs to one owner.

    The text itself is a column of the owner. Rows of the owner from before this table that another
    row equals have no identifier.
    """

    class Kind(models.TextChoices):
        EMAIL = "email"
        SKU = "sku"
        REFERENCE = "reference"

    kind = models.CharField(max_length=20, choices=Kind)
    scope = models.CharField(
        max_length=64, blank=True, help_text="The source of an external reference."
    )
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of the identifier in the form in which it is compared."
    )
    owner_id = models.UUIDField(help_text="The id of the customer, the product or the order.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["kind", "scope", "digest"], name="identifier_unique"),
            models.UniqueConstraint(fields=["kind", "owner_id"], name="identifier_of_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.owner_id}"

    @classmethod
    def of(cls, kind: Kind, text: str, owner_id: UUID, *, scope: str = "") -> Self:
        """Return the identifier of the owner whose ``text`` is as typed."""
        return cls(kind=kind, scope=scope, digest=digest_of(text), owner_id=owner_id)

    @classmethod
    def claim(cls, kind: Kind, text: str, owner_id: UUID) -> UUID:
        """Make ``owner_id`` the owner of ``text`` unless there is one; return the owner's id.

        Waits for a parallel transaction that claims or releases ``text``.
        """
        cls._base_manager.bulk_create([cls.of(kind, text, owner_id)], ignore_conflicts=True)
        return cls.owner_of(kind, text) or owner_id

    @classmethod
    def release(cls, kind: Kind, owner_id: UUID) -> None:
        """Let others have the identifier of the owner."""
        cls._base_manager.filter(kind=kind, owner_id=owner_id).delete()

    @classmethod
    def owner_of(cls, kind: Kind, text: str) -> UUID | None:
        """Return the id of the owner of ``text``, however it is spelled; None without an owner."""
        rows = cls.objects.filter(kind=kind, scope="", digest=digest_of(text))
        owner_id: UUID | None = rows.values_list("owner_id", flat=True).first()
        return owner_id


def digest_of(text: str) -> str:
    """Return the digest of ``text`` in the form in which identifiers are compared.

    A digest, because this form can be too long for an index.
    """
    return sha256(identity(text).encode()).hexdigest()
