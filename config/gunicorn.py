"""How gunicorn serves the project: `gunicorn -c python:config.gunicorn config.wsgi`."""

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from config.processes import collect_less, die_with_parent
from config.settings import HOST, LOGGING, PORT, WEB_THREADS

bind = f"[{HOST}]:{PORT}" if ":" in HOST else f"{HOST}:{PORT}"
worker_class = "gthread"
workers = 2
threads = WEB_THREADS
# Longer than the pauses of a client that sends one request after another.
keepalive = 20
# Seconds without a sign of life after which a worker is replaced.
timeout = 60
# Seconds for requests under way at a stop; below the patience of `manage.py run`.
graceful_timeout = 4
loglevel = "warning"
logconfig_dict = LOGGING
# Whether a request came over HTTPS is Django's to decide (TRUST_X_FORWARDED_PROTO); gunicorn would
# believe any client on this machine.
forwarded_allow_ips = ""
# Nobody asks for it, and copies that run side by side would share it.
control_socket_disable = True


def post_fork(arbiter: Arbiter, worker: Worker) -> None:
    """Let no worker outlive a killed arbiter: it would hold the port."""
    die_with_parent(worker.ppid)


def post_worker_init(worker: Worker) -> None:
    """The application is loaded."""
    collect_less()
