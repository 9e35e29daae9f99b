"""A small application and its settings of gunicorn, for tests of how web servers start and stop.

Loading the service takes seconds of processor time; the arbiter and the workers are the same.
``VERSION`` is read from a file beside the sockets, as code is: once, when it is loaded.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config import processes
from config.gunicorn import *  # noqa: F403

wsgi_app = "tests.acceptance.small_site:application"
VERSION = eval(Path("version").read_text())  # noqa: S307


def on_starting(arbiter: Any) -> None:  # type: ignore[no-redef]
    """Load nothing else."""


def post_worker_init(worker: Any) -> None:  # type: ignore[no-redef]
    """Read nothing from databases."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer /readyz as the service does, /slow after a second, and the rest at once."""
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(1)
    is_ready = path != "/readyz" or not processes.is_leaving.is_set()
    body = str(VERSION).encode()
    headers = [("Content-Length", str(len(body)))]
    start_response("200 OK" if is_ready else "503 Service Unavailable", headers)
    return [body]
