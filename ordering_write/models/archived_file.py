"""The files of the archive, as the log that wrote them knows them."""

from django.db import models
from django.db.models.functions import Now


class ArchivedFile(models.Model):
    """A file of the archive with the events of a range of positions.

    The rows cover positions from 1 on without a gap. Their digests tell a file that was replaced
    together with its manifest.
    """

    first = models.BigIntegerField(primary_key=True, help_text="The first position of the file.")
    last = models.BigIntegerField(help_text="The last position of the file.")
    name = models.CharField(max_length=80)
    bytes = models.BigIntegerField(help_text="The size of the file.")
    sha256 = models.CharField(max_length=64, help_text="The digest of the file.")
    manifest_sha256 = models.CharField(max_length=64, help_text="The digest of its manifest.")
    archived_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "archived_file"
        default_permissions = ()
        ordering = ["first"]

    def __str__(self) -> str:
        return self.name

    @property
    def events(self) -> int:
        """The number of events in the file."""
        return self.last - self.first + 1
