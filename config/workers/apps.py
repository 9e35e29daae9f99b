"""The workers as a Django app: connects the queue with the log and the schedule."""

from django.apps import AppConfig, apps
from django.contrib import admin
from django.db.models.signals import post_migrate


class WorkersConfig(AppConfig):
    name = "config.workers"
    label = "workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        # Imported here: the tasks need the models of both sides.
        from config.workers import tasks

        post_migrate.connect(tasks.keep_schedules, sender=apps.get_app_config("django_q"))
        tasks.connect()
        _hide_queue()


def _hide_queue() -> None:
    # The queue's admin pages unpickle table contents, and let every user who may add a schedule run
    # any function. The admin app comes before this one and has registered them.
    for model in apps.get_app_config("django_q").get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
