"""The settings of gunicorn: `gunicorn -c python:config.gunicorn config.wsgi`."""

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from config.processes import collect_less, die_with_parent
from config.settings import HOST, LOGGING, PORT, WEB_THREADS

bind = f"[{HOST}]:{PORT}" if ":" in HOST else f"{HOST}:{PORT}"
worker_class = "gthread"
workers = 2
threads = WEB_THREADS
# Seconds; longer than the pauses of a client that sends one request after another.
keepalive = 20
# Seconds without a heartbeat after which a worker is replaced.
timeout = 60
# Seconds for requests under way at a stop; less than `manage.py run` waits.
graceful_timeout = 4
loglevel = "warning"
logconfig_dict = LOGGING
# Django decides whether a request came over HTTPS (TRUST_X_FORWARDED_PROTO); gunicorn would believe
# any client on this machine.
forwarded_allow_ips = ""
# Not used, and services that run side by side would share the socket.
control_socket_disable = True


def post_fork(arbiter: Arbiter, worker: Worker) -> None:
    """End the worker with its arbiter; it would hold the port after the arbiter is killed."""
    die_with_parent(worker.ppid)


def post_worker_init(worker: Worker) -> None:
    """Tune the garbage collector, now that the application is loaded."""
    collect_less()
