"""The HTTP app: everything that the pages of both sides share."""

from django.apps import AppConfig


class HttpConfig(AppConfig):
    name = "config.http"
    label = "http"
    verbose_name = "HTTP"

    def ready(self) -> None:
        from config.http import checks
        from config.http.answers import problem_table

        checks.connect()
        problem_table.register_all()
