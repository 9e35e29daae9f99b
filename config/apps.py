"""The composition root as an app, for its management commands and templates."""

from django.apps import AppConfig

from config import telemetry


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        telemetry.set_up()
