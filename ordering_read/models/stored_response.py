"""The stored responses to requests that retry or skip parked events, for repeats."""

from django.db import models
from django.db.models.functions import Now


class StoredResponse(models.Model):
    """The response to a request with an idempotency key, for a client that sends it again.

    The row commits together with the effect of the request; a refused request leaves none.
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
