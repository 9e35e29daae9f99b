"""Routes the models of read apps to the database "read", all others to "default"."""

from typing import Any

from django.apps import apps
from django.db.models import Model


def side(app_label: str) -> str:
    """Return the alias of the database with the tables of an app; see ``ServiceApp``."""
    return getattr(apps.app_configs.get(app_label), "database", "default")


class WriteReadRouter:
    """Separates the two databases: no table is in both, and no relation joins their tables."""

    def db_for_read(self, model: type[Model], **_hints: Any) -> str:
        return side(model._meta.app_label)

    def db_for_write(self, model: type[Model], **_hints: Any) -> str:
        return side(model._meta.app_label)

    def allow_relation(self, first: Model, second: Model, **_hints: Any) -> bool:
        return side(first._meta.app_label) == side(second._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool:
        return side(app_label) == db
