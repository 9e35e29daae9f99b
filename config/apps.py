"""The composition root as an app: its management commands replace and join Django's."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
