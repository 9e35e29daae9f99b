"""The base of the tables that only aggregates and the log write."""

from typing import Any, NoReturn

from django.db import models

from config.databases.quick_model import QuickModel


class WrittenDirectlyError(Exception):
    """Only commands write this table: dispatch a command on the command bus."""


class GuardedQuerySet(models.QuerySet[Any]):
    """Raises WrittenDirectlyError for each write."""

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise WrittenDirectlyError(WrittenDirectlyError.__doc__)

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise WrittenDirectlyError(WrittenDirectlyError.__doc__)

    def update(self, **kwargs: Any) -> NoReturn:
        raise WrittenDirectlyError(WrittenDirectlyError.__doc__)

    def delete(self) -> NoReturn:
        raise WrittenDirectlyError(WrittenDirectlyError.__doc__)


class GuardedModel(QuickModel):
    """A model whose rows are read like those of any model, and written by its owner only.

    The owner writes by the statements of ``config.databases.tables``, by ``save_base``, or by
    ``_base_manager``.
    """

    objects = GuardedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise WrittenDirectlyError(WrittenDirectlyError.__doc__)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise WrittenDirectlyError(WrittenDirectlyError.__doc__)
