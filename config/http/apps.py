"""The HTTP app: everything that the pages of both sides share."""

from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register


class HttpConfig(AppConfig):
    name = "config.http"
    label = "http"
    verbose_name = "HTTP"
    problem_table = "config.http.answers.problem_table"

    def ready(self) -> None:
        register(_check_views)


def _check_views(**kwargs: Any) -> list[CheckMessage]:
    # Imported here: a process without pages doesn't need the modules of the views.
    from config.http.checks import views_declare_permissions

    return views_declare_permissions(**kwargs)
