"""The files of the archive, as the log that wrote them knows them, and what has left the log."""

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
    detached_at = models.DateTimeField(
        null=True, help_text="From this time on, events of the file may leave the database."
    )

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


class DetachedSpan(models.Model):
    """One row per aggregate, command and correlation of events that have left the database.

    ``id`` is theirs. All of these events have positions from ``first`` to ``last``. One row serves
    several owners of an id, such as a command and the correlation that it begins; ``is_command`` is
    True if one of them is a command. The trigger that lets events go writes the rows.
    """

    id = models.UUIDField(primary_key=True)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    is_command = models.BooleanField()

    class Meta:
        db_table = "detached_span"
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.id)
