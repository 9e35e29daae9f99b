"""Health checks without login: the process answers, and the service is ready for work."""

from collections.abc import Callable
from functools import cache

from django.db import DatabaseError, connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import processes
from config.databases import executor
from config.version import VERSION
from ordering_read.engine import status
from ordering_write import subscriptions
from ordering_write.subscriptions import alarm


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """``/healthz``: 200 as long as the process answers, and the version of its code."""
    return JsonResponse({"status": "ok", "version": VERSION})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """``/readyz``: 200 if this process isn't stopping and all checks pass, else 503.

    ``?exclude=workers&exclude=lag`` leaves out the checks of what all nodes share: a load balancer
    would take all nodes away at once. ``outdated`` names projections whose rows other code has
    made; 200 all the same, since a deployment waits for ready processes before a rebuild can begin.
    """
    checks = {
        "serving": lambda: not processes.is_leaving.is_set(),
        "databases": _databases_answer,
        "migrations": _is_migrated,
        "workers": _workers_are_alive,
        "lag": _lag_is_small,
    }
    excluded = request.GET.getlist("exclude")
    results = {name: _passes(check) for name, check in checks.items() if name not in excluded}
    ready = all(results.values())
    answer = JsonResponse(
        {
            "status": "ready" if ready else "not ready",
            "checks": {name: "ok" if passed else "failed" for name, passed in results.items()},
            "outdated": _outdated(),
        },
        status=200 if ready else 503,
    )
    # Suppress Django's per-request 503 error log; the alarm already logged the cause.
    answer._has_been_logged = True  # type: ignore[attr-defined]
    return answer


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except DatabaseError:
        return False


def _outdated() -> list[str]:
    try:
        return status.outdated()
    except DatabaseError:
        return []


def _databases_answer() -> bool:
    for connection in connections.all():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return True


def _is_migrated() -> bool:
    return all(_alias_is_migrated(alias) or _forget(alias) for alias in connections)


@cache
def _alias_is_migrated(alias: str) -> bool:
    # Cached: reading the migrations takes longer than all other checks, and applied migrations stay
    # applied as long as this code runs.
    return not executor.unapplied(alias)


def _forget(alias: str) -> bool:
    _alias_is_migrated.cache_clear()
    return False


def _workers_are_alive() -> bool:
    return status.workers_seen() > 0


def _lag_is_small() -> bool:
    # Check the alarm here too: if all workers are dead, nobody else checks it.
    late = alarm.look()
    return not any(
        late[subscription.name]
        for subscription in subscriptions.registered()
        if subscription.serves_requests
    )
