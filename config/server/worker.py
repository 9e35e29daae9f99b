"""The worker class of gunicorn: one thread for all clients, and a pool of threads for Django."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from gunicorn.workers.base import Worker
from waitress.adjustments import Adjustments
from waitress.wasyncore import poll2

from config import processes
from config.server.arbiter import RETIRE
from config.server.connections import Limits, Server, server_on
from config.server.threads import started_threads
from config.settings import (
    TRUSTED_PROXIES,
    WEB_BODY_SECONDS,
    WEB_CONNECTIONS,
    WEB_CONNECTIONS_PER_ADDRESS,
    WEB_DRAIN_SECONDS,
    WEB_FINISH_SECONDS,
    WEB_HEAD_SECONDS,
)

# Bytes of the request line with all headers; more than our middleware accepts, whose answers can be
# pages. A longer head is refused with 431.
_HEAD_BYTES = 65_536
# Bytes of a body that are read at all. A longer body is refused without reading it.
_BODY_BYTES = 10_000_000
# Bytes of a body that are kept in memory. The rest goes to a temporary file.
_BODY_BYTES_IN_MEMORY = 65_536
# Bytes of a streamed response that may wait for a client. More would hold the thread.
_RESPONSE_BYTES = 256 * 1024 * 1024
_RECEIVED_BYTES_AT_ONCE = 65_536
# Seconds for which a stopping worker keeps idle connections: a client may be sending a request.
_LINGER_SECONDS = 1.0
# Seconds that a worker of former code has for its clients. Idle ones leave after ``keepalive``.
_RETIREMENT_SECONDS = 300.0
# Seconds after which a computing thread lets another go on. With Python's 5 ms, the main thread
# would lose as much at each event of a connection while the threads are busy.
_SWITCH_SECONDS = 0.001
# A connection takes up to three files: its socket, its request and its response.
_FILES_PER_CONNECTION = 3
_OTHER_FILES = 1_024


class BufferingWorker(Worker):
    """Reads whole requests and sends responses in the main thread, for all clients at once.

    Threads of the pool run Django only. A slow client holds a connection, never a thread.
    """

    _servers: list[Server] = []
    _is_retiring = False

    def init_process(self) -> None:
        _allow_files(WEB_CONNECTIONS * _FILES_PER_CONNECTION + _OTHER_FILES)
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(RETIRE, self.handle_retire)
        signal.siginterrupt(RETIRE, False)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._is_retiring = False
        self._end(sig, frame)

    def handle_retire(self, sig: int, frame: FrameType | None) -> None:
        self._is_retiring = True
        self._end(sig, frame)

    def _end(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        for server in self._servers:
            server.pull_trigger()

    def run(self) -> None:
        self._objects: dict[int, Any] = {}
        self._next_check = 0.0
        sys.setswitchinterval(_SWITCH_SECONDS)
        threads = started_threads(self.cfg.threads)
        options = adjustments(idle_seconds=self.cfg.keepalive, backlog=self.cfg.backlog)
        limits = Limits(
            connections=WEB_CONNECTIONS,
            # Behind a proxy, all connections come from the address of the proxy.
            connections_per_address=0 if TRUSTED_PROXIES else WEB_CONNECTIONS_PER_ADDRESS,
            head_seconds=WEB_HEAD_SECONDS,
            body_seconds=WEB_BODY_SECONDS,
        )
        self._servers = [
            server_on(listener.sock, self.wsgi, self._objects, threads, options, limits)
            for listener in self.sockets
        ]
        # gunicorn's arbiter closes the listeners: a worker whose arbiter is gone ends.
        while self.alive and self.ppid == os.getppid():
            self._serve(seconds=1.0)
        for server in self._servers:
            server.is_leaving = True
        if self._is_retiring:
            self._retire()
        if not self._is_retiring:
            self._stop()

    def _serve(self, *, seconds: float) -> None:
        """Handle the next events of all connections; wait for them for ``seconds`` at most."""
        poll2(seconds, self._objects)
        now = time.time()
        if now < self._next_check:
            return
        self._next_check = now + 1.0
        self.notify()
        for server in self._servers:
            server.close_overdue(now)

    def _retire(self) -> None:
        """Leave newcomers to the workers of newer code, and answer the clients that are here.

        The answer to its next request closes a connection, so that no client loses a request.
        """
        for server in self._servers:
            server.stop_listening()
        self._serve_while(
            lambda: self._is_retiring and self._has_clients(), seconds=_RETIREMENT_SECONDS
        )

    def _stop(self) -> None:
        """Say that this process isn't ready; later listen no more, and finish the requests."""
        processes.is_leaving.set()
        self._serve_while(self._listens, seconds=WEB_DRAIN_SECONDS)
        for server in self._servers:
            server.accept_all()
            server.stop_listening()
        end = time.monotonic() + WEB_FINISH_SECONDS
        self._serve_while(self._has_clients, seconds=min(_LINGER_SECONDS, WEB_FINISH_SECONDS))
        self._serve_while(self._is_busy, seconds=end - time.monotonic())

    def _serve_while(self, condition: Callable[[], bool], *, seconds: float) -> None:
        end = time.monotonic() + seconds
        while condition() and time.monotonic() < end and self.ppid == os.getppid():
            self._serve(seconds=0.1)

    def _listens(self) -> bool:
        return any(server.accepting for server in self._servers)

    def _has_clients(self) -> bool:
        return any(server.active_channels for server in self._servers)

    def _is_busy(self) -> bool:
        return any(server.is_busy() for server in self._servers)


def adjustments(*, idle_seconds: int, backlog: int) -> Adjustments:
    """Return the options of waitress."""
    return Adjustments(
        backlog=backlog,
        recv_bytes=_RECEIVED_BYTES_AT_ONCE,
        max_request_header_size=_HEAD_BYTES,
        max_request_body_size=_BODY_BYTES,
        inbuf_overflow=_BODY_BYTES_IN_MEMORY,
        outbuf_high_watermark=_RESPONSE_BYTES,
        channel_timeout=idle_seconds,
        log_socket_errors=False,
        # Django decides which proxies to believe.
        clear_untrusted_proxy_headers=False,
        ident="",
    )


def _allow_files(number: int) -> None:
    """Raise the limit of open files to ``number``, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
