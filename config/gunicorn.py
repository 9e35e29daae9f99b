"""The settings of gunicorn: `gunicorn -c python:config.gunicorn config.wsgi`."""

import logging
import os
from threading import Timer

from gunicorn.app import base
from gunicorn.workers.base import Worker

from config import logs

if os.environ.get("LOG_FORMAT") == "json":
    # Before the settings, whose errors gunicorn prints.
    logs.write_json(output=True)

from config.processes import collect_less, die_with_parent
from config.server.arbiter import Arbiter
from config.settings import (
    HOST,
    LOGGING,
    PORT,
    WEB_DRAIN_SECONDS,
    WEB_FINISH_SECONDS,
    WEB_THREADS,
)
from config.version import VERSION

# gunicorn has no other place to choose an arbiter.
base.Arbiter = Arbiter

bind = f"[{HOST}]:{PORT}" if ":" in HOST else f"{HOST}:{PORT}"
worker_class = "config.server.worker.BufferingWorker"
workers = 2
threads = WEB_THREADS
# The application is loaded before the socket listens, and once for all workers: a worker that takes
# the place of a killed one answers at once.
preload_app = True
# Seconds; longer than the pauses of a client that sends one request after another.
keepalive = 20
# Seconds without a heartbeat after which a worker is replaced.
timeout = 60
# Seconds that workers have to stop.
graceful_timeout = WEB_DRAIN_SECONDS + WEB_FINISH_SECONDS
loglevel = "warning"
logconfig_dict = LOGGING
# Django decides whether a request came over HTTPS (TRUST_X_FORWARDED_PROTO); gunicorn would believe
# any client on this machine.
forwarded_allow_ips = ""
# The control socket isn't used, and services on the same machine would share it.
control_socket_disable = True


# Seconds after its start when a worker makes the OpenAPI document, unless somebody asked for it.
_DOCUMENT_AFTER_SECONDS = 20.0


def on_starting(arbiter: Arbiter) -> None:
    """Load the pages before the socket listens, and exclude what is loaded from collections."""
    # Imported here, because gunicorn loads this module before Django is set up.
    from config.server.warming import load_pages

    load_pages()
    # Almost all objects that are made while code is loaded stay: collections would cost a tenth.
    collect_less()


def when_ready(arbiter: Arbiter) -> None:
    """Log the start with the version."""
    logging.getLogger(__name__).info("The web server of version %s has started.", VERSION)


def post_fork(arbiter: Arbiter, worker: Worker) -> None:
    """End the worker with its arbiter: the worker of a killed arbiter would keep the port."""
    die_with_parent(worker.ppid)


def post_worker_init(worker: Worker) -> None:
    """Read the content types; later make the OpenAPI document."""
    from config.http.openapi import document
    from config.server.warming import read_content_types

    read_content_types()
    # The document takes a second of processor time, which the first requests need themselves. A
    # request for the document makes it at once.
    timer = Timer(_DOCUMENT_AFTER_SECONDS, document.make_all)
    timer.daemon = True
    timer.start()
