"""Health checks without login: the process answers, and the service is ready for work."""

from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.db import DatabaseError, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ordering_read.engine import status
from ordering_write import subscriptions
from ordering_write.subscriptions import alarm


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """``/healthz``: 200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """``/readyz``: 200 if databases, migrations, workers and lag pass their checks, else 503.

    ``outdated`` names projections whose rows other code has made; 200 all the same, since a
    deployment waits for ready processes before a rebuild can begin.
    """
    checks = {
        "databases": _databases_answer,
        "migrations": _is_migrated,
        "workers": _workers_are_alive,
        "lag": _lag_is_small,
    }
    results = {name: _passes(check) for name, check in checks.items()}
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
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        if alias == "read" and settings.READ_SCHEMA:
            # Behind a pooler, the path would lead to the migrations of the write side.
            cursor.execute("SELECT set_config('search_path', %s, true)", [settings.READ_SCHEMA])
        executor = MigrationExecutor(connections[alias])
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())


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
