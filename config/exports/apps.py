"""The app that owns the tables of exports."""

from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "config.exports"
    label = "exports"
    verbose_name = "Exports"
