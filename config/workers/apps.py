"""The workers as a Django app: connects the queue with the log and the schedule."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class WorkersConfig(AppConfig):
    name = "config.workers"
    label = "workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        # Imported here: the module needs the models of the queue.
        from config.workers import schedule

        post_migrate.connect(schedule.keep_schedules, sender=apps.get_app_config("django_q"))
        schedule.connect()
