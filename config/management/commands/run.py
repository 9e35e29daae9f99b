"""`manage.py run`: runs the databases, the demo, the web server and the workers."""

import errno
import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from config import processes
from config.databases.embedded import EmbeddedServer
from config.management.first_login import first_login_hint
from config.management.steps import Step
from config.processes import Program
from ordering_write import subscriptions

# Seconds between two looks at /readyz while the programs start: the first and the longest pause.
FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.1, 1.0
# Seconds to wait for the port, which a service that is being stopped keeps for a moment.
PORT_SECONDS = 3.0
# The address to call for a server that listens on all addresses.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Stopped(BaseException):
    """A signal asks us to stop; a BaseException, so that no ``except Exception`` handles it."""


class Command(BaseCommand):
    help = "Runs the databases, the web server and the workers, until Ctrl-C stops them all."
    requires_system_checks = ()  # migrate makes them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--parent", type=int, metavar="PID", help="Stop when this process, our parent, ends."
        )

    def handle(self, *args: Any, parent: int | None, **options: Any) -> None:
        _raise_stopped_on_signals()
        if parent:
            processes.die_with_parent(parent, signum=signal.SIGTERM)
        # Gunicorn serves no TLS here. Set HTTPS=1 behind a proxy that terminates TLS.
        os.environ.setdefault("HTTPS", "0")
        server = EmbeddedServer(settings.DATA_DIR)
        try:
            with _listen() as listener, server.in_use() if settings.EMBEDDED else nullcontext():
                if settings.EMBEDDED:
                    self._start(server)
                self._serve(listener)
        except Stopped:
            self._say("Stopped.")

    def _start(self, server: EmbeddedServer) -> None:
        with self._step("Starting PostgreSQL"):
            try:
                server.start()
            except psycopg.OperationalError as error:
                raise CommandError(" ".join(str(error).split())) from error

    def _serve(self, listener: socket.socket) -> None:
        host = LOOPBACK.get(settings.HOST, settings.HOST)
        port = listener.getsockname()[1]
        programs = _programs(listener)
        with self._step("Preparing the databases") as step:
            call_command("migrate", interactive=False, stdout=step, no_color=True)
        if settings.DEMO:
            self._make_demo()
        # The programs have connections of their own.
        connections.close_all()
        try:
            with self._step("Starting the web server and the workers") as step:
                for program in programs:
                    program.start()
                _wait_until_ready(programs, host, port, step)
            self._welcome(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            while True:
                for program in programs:
                    if message := program.keep_running():
                        self._say(message)
                time.sleep(0.2)
        finally:
            processes.stop(programs)

    def _make_demo(self) -> None:
        with self._step("Making demo data") as step:
            call_command("seed_demo", stdout=step, no_color=True)
        self._say(step.detail)
        # Apply the demo's events now: the workers would begin far behind, and raise the alarm.
        with self._step("Filling the read side") as step:
            for subscription in subscriptions.registered():
                step.write(f"\n{subscription.name}")
                subscription.run(*subscription.names())

    def _step(self, text: str) -> Step:
        return Step(text, say=self._say)

    def _welcome(self, url: str) -> None:
        self._say(
            f"\nReady; Ctrl-C stops everything, the data stay.\n\n"
            f"  Start page  {url}/\n"
            f"  API         {url}/api/v1\n"
            f"  API docs    {url}/api/docs\n"
            f"  Admin       {url}/admin/\n"
            f"  Customers   {url}/my/\n"
        )
        if settings.DEMO:
            call_command("demo_welcome", url=url, stdout=self.stdout)
        if hint := first_login_hint():
            self._say(hint)
        self.stdout.flush()
        connections.close_all()

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _raise_stopped_on_signals() -> None:
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it for us
        signals.append(signal.SIGHUP)

    def stop(_signum: int, _frame: FrameType | None) -> None:
        for signum in signals:
            # A second signal must not interrupt the stop.
            signal.signal(signum, signal.SIG_IGN)
        raise Stopped

    for signum in signals:
        signal.signal(signum, stop)


def _listen() -> socket.socket:
    """Return the web server's socket. This process keeps it: a restart can't lose the port."""
    host, port = settings.HOST, settings.PORT
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=2048)
        except (OSError, OverflowError) as error:
            if not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
                raise CommandError(f"Can't listen on {host}, port {port}: {error}") from error
            if time.monotonic() > deadline:
                raise CommandError(
                    f"Port {port} is in use. Stop the program that uses it or take another port: "
                    f"PORT={port + 1} make run"
                ) from error
        time.sleep(0.1)


def _programs(listener: socket.socket) -> list[Program]:
    root: Path = settings.BASE_DIR
    fd = listener.fileno()
    gunicorn = ("-m", "gunicorn", "-c", "python:config.gunicorn", "-b", f"fd://{fd}", "config.wsgi")
    return [
        Program("The web server", [sys.executable, *gunicorn], cwd=root, pass_fds=[fd]),
        Program("The workers", [sys.executable, "manage.py", "workers"], cwd=root),
    ]


def _wait_until_ready(programs: Sequence[Program], host: str, port: int, step: Step) -> None:
    """Wait until the service is ready, as long as its programs live, which may take minutes."""
    pause = FIRST_LOOK_SECONDS
    while awaited := _awaited(host, port):
        step.write(f"\nwaiting for {awaited}")
        for program in programs:
            if ending := program.ending():
                raise CommandError(f"{program.name} ended ({ending}) before it was ready.")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_LOOK_SECONDS)


def _awaited(host: str, port: int) -> str:
    """Return what the service isn't ready for, as /readyz says it; empty if it is ready."""
    # The connection goes to an address, but Django accepts only the names in ALLOWED_HOSTS.
    name = next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), host)
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz", headers={"Host": name})
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"the web server ({error})"
    finally:
        connection.close()
    return "" if response.status == 200 else _failed_checks(response.status, body)


def _failed_checks(status: int, body: str) -> str:
    try:
        checks: dict[str, str] = json.loads(body)["checks"]
        failed = [name for name, result in checks.items() if result != "ok"]
    except (ValueError, KeyError, TypeError, AttributeError):
        failed = []
    return ", ".join(failed) or f"/readyz, which says: {status} {body}"
