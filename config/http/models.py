"""The counters of the rate limits."""

from django.db import models


class RequestCount(models.Model):
    """The number of requests (or failed logins) of one client, until ``ends_at`` resets it."""

    key = models.CharField(primary_key=True, max_length=60)
    count = models.BigIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "request_count"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.count} of {self.key}"
