"""The read side as a Django app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OrderingReadConfig(AppConfig):
    name = "ordering_read"
    verbose_name = "Read side"

    def ready(self) -> None:
        # Imported here: these modules need the models. The projections register themselves.
        from ordering_read import permissions, projections  # noqa: F401

        post_migrate.connect(permissions.keep_permissions, sender=self)
