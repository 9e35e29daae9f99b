"""The entries of the setting DATABASES, made of URLs."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# Settings of every session. Without the last lines, the statement of a killed process would run on
# and keep its locks, and the session of a lost machine would keep its locks for hours. The server's
# kernel sends a probe after 5 seconds, and ends the session after three unanswered probes.
SESSION = {
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "statement_timeout": "1min",
    "client_connection_check_interval": "1s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
# Plan prepared statements anew each time: people choose the filters, and the right plan for one
# status or customer is wrong for another.
_READ_SESSION = {
    "plan_cache_mode": "force_custom_plan",
    # The start of parallel workers takes longer than most statements.
    "parallel_setup_cost": "100000",
    # Room for the sums of 26,000 products, which would go through temporary files otherwise.
    "hash_mem_multiplier": "8",
}


@dataclass(frozen=True, kw_only=True)
class Urls:
    """The URLs of the write and the read database; ``read`` is empty for one database.

    ``replica`` is a standby of the read database, empty without one.
    """

    write: str = ""
    read: str = ""
    replica: str = ""


def databases(
    urls: Urls, direct: Urls, *, pooler: str, directly: bool, read_schema: str
) -> dict[str, dict[str, object]]:
    """Return DATABASES for ``urls``, or for the URLs ``direct`` if there are any and ``directly``.

    ``pooler`` is "transaction" if ``urls`` lead to a pooler that lends a session for a transaction.
    ``read_schema`` is the schema of the read models in one database. With a replica, "read" is the
    replica and "read_primary" the read database, unless ``directly``. Raises ImproperlyConfigured.
    """
    _check(urls, direct, pooler)
    if directly and direct.write:
        chosen, pooler = direct, ""
    else:
        chosen = urls
    search_path = {"search_path": read_schema} if read_schema else {}
    read_session = SESSION | _READ_SESSION | search_path
    entries = {
        "default": _database(chosen.write, SESSION, pooler),
        "read": _database(chosen.read or chosen.write, read_session, pooler),
    }
    if urls.replica and not directly:
        entries["read_primary"] = entries["read"]
        entries["read"] = _database(urls.replica, read_session, pooler)
    return entries


def _check(urls: Urls, direct: Urls, pooler: str) -> None:
    if pooler not in ("", "transaction"):
        raise ImproperlyConfigured(f"DATABASE_POOLER must be transaction or empty, not {pooler!r}.")
    if (direct.write or pooler) and (not direct.write or bool(urls.read) != bool(direct.read)):
        raise ImproperlyConfigured(
            "DATABASE_POOLER=transaction needs DATABASE_DIRECT_URL, and READ_DATABASE_URL needs"
            " READ_DATABASE_DIRECT_URL beside it: workers and commands need sessions of their own."
        )
    if urls.replica and not urls.read:
        raise ImproperlyConfigured(
            "READ_REPLICA_URL needs READ_DATABASE_URL: a replica is a standby of the read database."
        )


def middleware(urls: Urls, *, directly: bool) -> list[str]:
    """Return the middleware that a replica needs, none without one."""
    path = "config.databases.replica.PrimaryForWritesMiddleware"
    return [path] if urls.replica and not directly else []


def role_settings(read_schema: str) -> dict[str, str]:
    """Return the settings that a role must have if its sessions are lent for one transaction.

    Such a session can't be told which side uses it: both sides find their tables by one path.
    """
    search_path = {"search_path": f"public, {read_schema}"} if read_schema else {}
    return {**SESSION, "TimeZone": "UTC", **search_path}


def roles(urls: Urls) -> dict[str, str]:
    """Return the user names in ``urls``, by the alias of the database; "" where there is none."""
    return {
        "default": unquote(urlsplit(urls.write).username or ""),
        "read": unquote(urlsplit(urls.read or urls.write).username or ""),
    }


def _database(url: str, session: Mapping[str, str], pooler: str) -> dict[str, object]:
    """Return the entry for ``url``; the backend reads ``SESSION`` and ``POOLER``."""
    try:
        config = dj_database_url.parse(url, conn_max_age=None, conn_health_checks=True)
    except ValueError:
        config = {}
    if config.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured("The URLs of the databases must be postgresql:// URLs.")
    options = config.setdefault("OPTIONS", {})
    options.setdefault("connect_timeout", 10)
    # Parameters are sent apart from the statement, which is prepared from its second use on. A
    # session that is lent for one transaction doesn't keep prepared statements.
    options |= {"server_side_binding": True, "prepare_threshold": None if pooler else 2}
    return {
        **config,
        "ENGINE": "config.databases",
        "ATOMIC_REQUESTS": False,
        "DISABLE_SERVER_SIDE_CURSORS": bool(pooler),
        "SESSION": dict(session),
        "POOLER": pooler,
    }
