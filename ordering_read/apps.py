"""The read side as a Django app."""

from django.apps import AppConfig, apps
from django.contrib import admin
from django.core import checks
from django.db.models.signals import post_migrate


class OrderingReadConfig(AppConfig):
    name = "ordering_read"
    verbose_name = "Orders and stock (read side)"

    def ready(self) -> None:
        # Imported here: these modules need the models. The projections register themselves.
        from ordering_read import permissions, projections, tasks  # noqa: F401
        from ordering_read.api import problems
        from ordering_read.checks import check_definitions
        from ordering_read.engine import live, waiting
        from ordering_write.published import checkpoints_moved

        checks.register(check_definitions, checks.Tags.database)
        post_migrate.connect(permissions.keep_permissions, sender=self)
        post_migrate.connect(live.keep_checkpoints_after_migrate, sender=self)
        post_migrate.connect(tasks.keep_schedule, sender=apps.get_app_config("django_q"))
        checkpoints_moved.connect(waiting.announce, sender=self.get_model("Projection"))
        tasks.connect()
        problems.register_all()
        _hide_queue()


def _hide_queue() -> None:
    # Its pages unpickle what stands in the tables, and let whoever may add a schedule run any
    # function. The admin, listed before us, has registered them by now.
    for model in apps.get_app_config("django_q").get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
