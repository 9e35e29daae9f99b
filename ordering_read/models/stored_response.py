"""The stored responses of the read side's unsafe requests, for repeats."""

from django.db import models
from django.db.models.functions import Now


class StoredResponse(models.Model):
    """The response to a request with an idempotency key, for a client that sends it again.

    A refused request leaves none. Secrets, which are shown once, aren't stored.
    """

    request_id = models.UUIDField(primary_key=True)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the request.")
    response = models.JSONField(db_column="answer")
    recorded_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        db_table = "kept_answer"
        default_permissions = ()

    def __str__(self) -> str:
        return f"Response to {self.request_id}"
