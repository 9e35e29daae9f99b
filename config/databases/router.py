"""Which side a model lives on: the read models in "read", everything else in "default"."""

from typing import Any

from django.db.models import Model

READ_APP = "ordering_read"


def side(app_label: str) -> str:
    """The alias of the one database that holds the app's tables."""
    return "read" if app_label == READ_APP else "default"


class WriteReadRouter:
    """Keeps the two sides apart: no table on both, no relation between them."""

    def db_for_read(self, model: type[Model], **_hints: Any) -> str:
        return side(model._meta.app_label)

    def db_for_write(self, model: type[Model], **_hints: Any) -> str:
        return side(model._meta.app_label)

    def allow_relation(self, one: Model, other: Model, **_hints: Any) -> bool:
        return side(one._meta.app_label) == side(other._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool:
        return side(app_label) == db
