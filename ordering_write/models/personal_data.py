"""Personal fields of events, kept beside the log so that they can be erased."""

from django.db import models

from config.databases.quick_model import QuickModel


class PersonalData(QuickModel):
    """The personal fields of one event. When the row is gone, the event reads "[erased]"."""

    id = models.UUIDField(primary_key=True)
    customer_id = models.UUIDField(db_index=True)
    fields = models.JSONField()
    salt = models.CharField(
        max_length=32, help_text="Keeps the digest in the log from being guessed."
    )

    class Meta:
        db_table = "personal_data"
        default_permissions = ()
        verbose_name_plural = "personal data"

    def __str__(self) -> str:
        return str(self.id)
