"""The settings of Django REST framework and django-q2, of which a few depend on variables."""

from typing import Any

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "config.accounts.tokens.TokenAuthentication",
        "config.http.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["config.http.permissions.HasNeededPermission"],
    "DEFAULT_THROTTLE_CLASSES": ["config.http.limits.throttling.Throttle"],
    "DEFAULT_PARSER_CLASSES": [
        "config.http.input.parsers.StrictJSONParser",
        "config.http.input.parsers.BrowserFormParser",
    ],
    "DEFAULT_RENDERER_CLASSES": [
        "config.http.answers.renderers.JSONRenderer",
        "config.http.answers.renderers.BrowsableRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.http.input.negotiation.ContentNegotiation",
    "DEFAULT_SCHEMA_CLASS": "config.http.openapi.schema.Schema",
    "EXCEPTION_HANDLER": "config.http.answers.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": "format",
}


def q_cluster(*, name: str, broker: str, workers: int, poll: float) -> dict[str, Any]:
    """Return Q_CLUSTER for the queue ``name``, a broker's dotted path, some processes and a poll
    each ``poll`` s."""
    return {
        "name": name,
        "orm": "default",
        "broker_class": broker,
        "workers": workers,
        "queue_limit": workers,
        "bulk": 1,
        "poll": poll,
        "timeout": 600,
        "retry": 1500,
        "max_attempts": 3,
        "ack_failures": True,
        "recycle": 10_000,
        # django-q2 counts a worker's time down in these steps and compares with exactly 0, which
        # steps of 0.1 would miss.
        "guard_cycle": 0.125,
        "save_limit": 250,
        "catch_up": False,
        "label": "Queue",
    }
