"""The settings of gunicorn: `gunicorn -c python:config.gunicorn config.wsgi`."""

from threading import Event, Thread, Timer

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from config.processes import collect_less, die_with_parent
from config.settings import HOST, LOGGING, PORT, WEB_THREADS

bind = f"[{HOST}]:{PORT}" if ":" in HOST else f"{HOST}:{PORT}"
worker_class = "config.server.worker.BufferingWorker"
workers = 2
threads = WEB_THREADS
# Seconds; longer than the pauses of a client that sends one request after another.
keepalive = 20
# Seconds without a heartbeat after which a worker is replaced.
timeout = 60
# Seconds that requests may take to finish at a stop; less than `manage.py run` waits.
graceful_timeout = 4
loglevel = "warning"
logconfig_dict = LOGGING
# Django decides whether a request came over HTTPS (TRUST_X_FORWARDED_PROTO); gunicorn would believe
# any client on this machine.
forwarded_allow_ips = ""
# The control socket isn't used, and services on the same machine would share it.
control_socket_disable = True


# Seconds between two heartbeats of a worker that loads the application.
_LOADING_BEAT_SECONDS = 1.0
# Seconds after its start when a worker makes the OpenAPI document, unless somebody asked for it.
_DOCUMENT_AFTER_SECONDS = 20.0
# Set in each worker when it has loaded the application.
_has_loaded = Event()


def post_fork(arbiter: Arbiter, worker: Worker) -> None:
    """End the worker with its arbiter: the worker of a killed arbiter would keep the port."""
    die_with_parent(worker.ppid)
    # Almost all objects that are made while code is loaded stay: collections would cost a tenth.
    collect_less()
    # A slow machine may need longer than ``timeout`` to load the application, and the worker itself
    # begins its heartbeats afterwards.
    Thread(target=_beat_while_loading, args=[worker], daemon=True).start()


def _beat_while_loading(worker: Worker) -> None:
    while not _has_loaded.wait(_LOADING_BEAT_SECONDS):
        worker.notify()


def post_worker_init(worker: Worker) -> None:
    """Exclude what is loaded from garbage collection, and read the content types.

    Later make the OpenAPI document.
    """
    # Imported here, because gunicorn loads this module before Django is set up.
    from config.http.openapi import document
    from config.server.warming import read_content_types

    _has_loaded.set()
    read_content_types()
    collect_less()
    # The document takes a second of processor time, which the first requests need themselves. A
    # request for the document makes it at once.
    timer = Timer(_DOCUMENT_AFTER_SECONDS, document.make_all)
    timer.daemon = True
    timer.start()
