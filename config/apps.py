"""The composition root as an app, for its management commands and templates."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
