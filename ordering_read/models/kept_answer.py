"""What was answered to those who deal with parked events."""

from django.db import models
from django.db.models.functions import Now


class KeptAnswer(models.Model):
    """The answer to a request that had a key, for whoever sends it again. It commits together with
    what the request did; a refusal leaves none."""

    request_id = models.UUIDField(primary_key=True)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked for.")
    answer = models.JSONField()
    recorded_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        db_table = "kept_answer"
        default_permissions = ()

    def __str__(self) -> str:
        return f"Answer to {self.request_id}"
