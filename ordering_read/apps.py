"""The read side as a Django app."""

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate, pre_migrate


class OrderingReadConfig(AppConfig):
    name = "ordering_read"
    verbose_name = "Orders and stock (read side)"
    problem_table = "ordering_read.api.problems"

    def ready(self) -> None:
        # Imported here, because these modules need the models. Projections register on import.
        from ordering_read import permissions, projections  # noqa: F401
        from ordering_read.checks import check_code_fingerprints
        from ordering_read.engine import reporting, status, waiting
        from ordering_read.engine.live import PROJECTIONS
        from ordering_write.published import checkpoints_moved, subscriptions

        checks.register(check_code_fingerprints, checks.Tags.database)
        post_migrate.connect(permissions.keep_permissions, sender=self)
        subscriptions.register(PROJECTIONS)
        post_migrate.connect(subscriptions.ensure_checkpoints_after_migrate, sender=self)
        post_migrate.connect(status.forget_outdated, sender=self)
        pre_migrate.connect(reporting.drop_views, sender=self)
        post_migrate.connect(reporting.keep_views, sender=self)
        checkpoints_moved.connect(waiting.announce, sender=self.get_model("Projection"))
