"""The tables in which operators look back: samples of the subscribers' progress, and alarms."""

from django.db import models
from django.db.models.functions import Now


class SubscriberSample(models.Model):
    """The progress of all subscribers at one time.

    The table is a ring of a fixed number of rows: see ``subscriptions.samples``, which owns it.
    """

    slot = models.SmallIntegerField(primary_key=True)
    taken_at = models.DateTimeField()
    figures = models.JSONField(help_text="The figures of each subscriber, by its key.")

    class Meta:
        db_table = "subscriber_sample"
        default_permissions = ()

    def __str__(self) -> str:
        return f"sample of {self.taken_at:%H:%M:%S}"


class Alarm(models.Model):
    """A report to the administrators, and the fate of its mail.

    ``subscriptions.alarm`` owns the table and keeps the last reports only.
    """

    raised_at = models.DateTimeField(db_default=Now())
    subject = models.CharField(max_length=200)
    text = models.TextField()
    is_error = models.BooleanField(help_text="False for the end of an alarm and for advice.")
    recipients = models.PositiveSmallIntegerField(help_text="The number of ADMINS; 0: no mail.")
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_error = models.TextField(blank=True, help_text="Why the mail wasn't sent.")

    class Meta:
        db_table = "alarm"
        default_permissions = ()
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.subject
