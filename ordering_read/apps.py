"""The read side as a Django app."""

from django.core import checks
from django.db.models.signals import post_migrate, pre_migrate

from config import shop_apps
from config.commands import CHECKS


class OrderingReadConfig(shop_apps.ReadApp):
    name = "ordering_read"
    verbose_name = "Orders and stock (read side)"
    problem_table = "ordering_read.api.problems"

    def ready(self) -> None:
        super().ready()
        # Imported here, because these modules need the models.
        from ordering_read import permissions
        from ordering_read.checks import check_code_fingerprints, check_erasable, check_read_site
        from ordering_read.engine import reporting, status, waiting
        from ordering_read.engine.live import PROJECTIONS
        from ordering_write.published import checkpoints_moved, subscriptions

        checks.register(check_code_fingerprints, checks.Tags.database)
        checks.register(check_erasable, CHECKS)
        checks.register(check_read_site, CHECKS)
        post_migrate.connect(permissions.keep_permissions, sender=self)
        subscriptions.register(PROJECTIONS)
        post_migrate.connect(subscriptions.ensure_checkpoints_after_migrate, sender=self)
        post_migrate.connect(status.forget_outdated, sender=self)
        pre_migrate.connect(reporting.drop_views, sender=self)
        post_migrate.connect(reporting.keep_views, sender=self)
        checkpoints_moved.connect(waiting.announce, sender=self.get_model("Projection"))
