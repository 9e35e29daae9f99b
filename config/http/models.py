"""The counters of requests, by which somebody who sends too many is held up."""

from django.db import models


class RequestCount(models.Model):
    """How many requests somebody has sent since a moment, which is forgotten at ``ends_at``."""

    key = models.CharField(primary_key=True, max_length=60)
    count = models.BigIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "request_count"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.count} of {self.key}"
