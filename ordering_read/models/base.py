"""The base class of the read models: tables that only projections write."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Subquery

from config.databases import tables
from config.databases.quick_model import QuickModel
from ordering_read.models.projection import Projection
from ordering_read.projector import is_writing

# A column ``…_key`` holds the ``identity_key`` of an identifier, by which queries find it.
KEY_HELP = "The form in which the identifier is compared. Empty in rows of former releases."


class ReadModelWrittenError(Exception):
    """Read models are written by their projection only: dispatch a command on the command bus."""


def _refuse_unless_writing() -> None:
    if not is_writing():
        raise ReadModelWrittenError(ReadModelWrittenError.__doc__)


class ReadModelQuerySet(models.QuerySet[Any]):
    """Raises ReadModelWrittenError for each write outside a projection."""

    def bulk_create(self, *args: Any, **kwargs: Any) -> list[Any]:
        _refuse_unless_writing()
        return super().bulk_create(*args, **kwargs)

    def bulk_update(self, *args: Any, **kwargs: Any) -> int:
        _refuse_unless_writing()
        return super().bulk_update(*args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        _refuse_unless_writing()
        return super().update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        _refuse_unless_writing()
        return super().delete()


class LiveManager(models.Manager.from_queryset(ReadModelQuerySet)):  # type: ignore[misc]
    """Selects the rows of the live generation."""

    def get_queryset(self) -> ReadModelQuerySet:
        # A subquery, so that a promotion can't fall between two statements.
        live = Projection.objects.order_by().filter(
            name=self.model.projection_name, status=Projection.Status.LIVE
        )
        return super().get_queryset().filter(projection_id=Subquery(live.values("id")))


class ReadModel(QuickModel):
    """A row of a read model, owned by one generation of the projection ``projection_name``.

    ``live`` selects the rows of the live generation, ``objects`` the rows of all generations.
    Indexes and unique constraints begin with ``projection``. ``documents`` maps each JSON column to
    the type of its documents; the code fingerprint covers these types.
    """

    projection_name: ClassVar[str]
    documents: ClassVar[Mapping[str, Any]] = {}

    key = models.BigAutoField(primary_key=True)
    # Without a constraint, which PostgreSQL would check for each row: ``discard`` deletes the rows
    # before their projection.
    projection = models.ForeignKey(
        Projection,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )

    objects = ReadModelQuerySet.as_manager()
    live = LiveManager()

    class Meta:
        abstract = True
        default_permissions = ()

    @classmethod
    def find_live(cls, **values: Any) -> list[Self]:
        """Return the live rows whose fields have these ``values``.

        A QuerySet takes longer to put this frequent statement together than the database takes to
        answer it.
        """
        live = "projection_id = (SELECT id FROM projection WHERE name = %s AND status = %s)"
        conditions = "".join(f" AND {column} = %s" for column in tables.columns(cls, *values))
        parameters = [cls.projection_name, Projection.Status.LIVE.value, *values.values()]
        return tables.find(cls, live + conditions, parameters)

    def save(self, *args: Any, **kwargs: Any) -> None:
        _refuse_unless_writing()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        _refuse_unless_writing()
        return super().delete(*args, **kwargs)
