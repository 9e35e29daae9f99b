"""The server of the benchmarks, an embedded PostgreSQL in var/benchmarks, and their settings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
import psycopg

# Not that of `make run`.
DATA_DIR = Path(__file__).parent.parent.parent / "var" / "benchmarks"


def set_up_django() -> None:
    """Let Django use the benchmarks' server, without the taxes and payments of the demo."""
    os.environ |= {
        "DATA_DIR": str(DATA_DIR),
        "DEMO": "0",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    os.environ.pop("DATABASE_URL", None)
    django.setup()


@contextmanager
def benchmark_server() -> Iterator[None]:
    """Keep the server running within the block; it records the time of each commit."""
    # Imported here, because its modules read the settings.
    from config.databases.embedded import EmbeddedServer

    server = EmbeddedServer(DATA_DIR)
    with server.in_use():
        server.start()
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            is_recording = connection.execute("SHOW track_commit_timestamp").fetchone() == ("on",)
            connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        if not is_recording:
            server.stop()
            server.start()
        yield
