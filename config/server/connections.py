"""Connections to clients: how long each may wait for its client, and how many there may be."""

import socket
from collections.abc import Collection
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher

from config.http.limits.addresses import client_network
from config.server.requests import Request, RequestTimeout
from config.server.responses import ErrorTask, Task

# Seconds after which a client must have read its response, and the bytes a second with which it
# may take longer.
_RESPONSE_SECONDS = 30
_RESPONSE_BYTES_PER_SECOND = 10_000
# Bytes of a file that are read to be sent. Waitress reads as much as the kernel could take, again
# for each piece that a slow client takes.
_SENT_BYTES_AT_ONCE = 65_536
# For each so many connections, the server accepts a further newcomer in one turn of its loop.
_CONNECTIONS_PER_NEWCOMER = 8


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on the connections of one process; 0 connections per address means no bound."""

    connections: int
    connections_per_address: int
    head_seconds: int
    body_seconds: int


class Connection(HTTPChannel):
    """A client's connection, which reads requests and sends responses without a thread."""

    task_class = Task
    error_task_class = ErrorTask
    parser_class = Request
    # The request that has arrived in part.
    request: Request | None
    sendbuf_len: int

    def __init__(self, server: "Server", sock: socket.socket, addr: Any, *args: Any, **kwargs: Any):
        self.network = client_network(str(addr[0]))
        # Time at which output was first seen to wait for the client, and the bytes sent since.
        self._unread_since: float | None = None
        self._sent_bytes = 0
        super().__init__(server, sock, addr, *args, **kwargs)
        self.sendbuf_len = min(self.sendbuf_len, _SENT_BYTES_AT_ONCE)
        server.make_room(self)

    @property
    def is_busy(self) -> bool:
        """True if the connection has a request to answer, or a response to send."""
        return bool(self.requests or self.total_outbufs_len)

    @property
    def waiting_since(self) -> float:
        """The time (epoch seconds) since which the connection waits for its client."""
        request = self.request
        activity: float = self.last_activity
        return request.began if request is not None else self._unread_since or activity

    def write_soon(self, data: Any) -> int:
        """Let the main thread send ``data``: bytes, or a file. Called by threads of the pool."""
        if isinstance(data, bytes) and len(data) > _SENT_BYTES_AT_ONCE:
            # Waitress would copy the bytes, and write more than a megabyte to a temporary file.
            data = ReadOnlyFileBasedBuffer(BytesIO(data))
            data.prepare()
        count: int = super().write_soon(data)
        return count

    def send(self, data: bytes, do_close: bool = True) -> int:
        count: int = super().send(data, do_close)
        self._sent_bytes += count
        return count

    def handle_close(self) -> None:
        if self.request is not None:
            self.request.close()
        super().handle_close()

    def is_overdue(self, now: float, limits: Limits) -> bool:
        """Return True if the client has had its time (``now`` in epoch seconds). Call regularly."""
        if self.total_outbufs_len:
            return self._reads_too_slowly(now)
        self._unread_since = None
        if self.requests:
            return False
        request = self.request
        if request is None:
            idle_seconds: float = self.adj.channel_timeout
            return now - self.last_activity > idle_seconds
        if request.head_ended is None:
            return now - request.began > limits.head_seconds
        return now - request.head_ended > limits.body_seconds

    def _reads_too_slowly(self, now: float) -> bool:
        if self._unread_since is None:
            self._unread_since, self._sent_bytes = now, 0
        allowed = _RESPONSE_SECONDS + self._sent_bytes / _RESPONSE_BYTES_PER_SECOND
        return now - self._unread_since > allowed

    def give_up(self) -> None:
        """Refuse a request that has arrived in part with 408; close the connection otherwise."""
        request = self.request
        if request is None or self.is_busy:
            self.handle_close()
            return
        with self.requests_lock:
            request.error = RequestTimeout("The request took too long to arrive.")
            request.completed = True
            self.request = None
            self.requests.append(request)
        self.server.add_task(self)


class Server:
    """The connections of one listening socket; see ``server_on``."""

    channel_class = Connection
    active_channels: dict[int, Connection]
    accepting: bool
    # True when the next answer to each client closes its connection.
    is_leaving = False

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        self._limits = limits
        super().__init__(*args, **kwargs)

    def pull_trigger(self) -> None:
        """Wake the main thread."""
        super().pull_trigger()  # type: ignore[misc]

    def readable(self) -> bool:
        return self.accepting

    def handle_accept(self) -> None:
        """Accept the newcomers that wait; the more connections there are, the more at once.

        A turn of the loop looks at all connections. With one newcomer a turn, the last of many
        would wait longer and longer; with all at once, other processes would get none of them.
        """
        for _ in range(1 + len(self.active_channels) // _CONNECTIONS_PER_NEWCOMER):
            self._has_newcomer = False
            super().handle_accept()  # type: ignore[misc]
            if not self._has_newcomer:
                return

    def accept_all(self) -> None:
        """Accept all newcomers that wait: the end of the last listener would reset them."""
        self._has_newcomer = self.accepting
        while self._has_newcomer:
            self._has_newcomer = False
            super().handle_accept()  # type: ignore[misc]

    def stop_listening(self) -> None:
        """Close the listener of this process; the connections stay."""
        if self.accepting:
            # Waitress's own method closes the trigger too, by which threads wake the main thread.
            wasyncore.dispatcher.close(self)

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Return the next newcomer's socket and address; None if none waits."""
        newcomer: tuple[socket.socket, Any] | None = super().accept()  # type: ignore[misc]
        self._has_newcomer = newcomer is not None
        return newcomer

    def is_busy(self) -> bool:
        """Return True while a connection has a request to answer, or a response to send."""
        return any(connection.is_busy for connection in self.active_channels.values())

    def close_overdue(self, now: float) -> None:
        """Give up the connections whose clients have had their time (``now`` in epoch seconds)."""
        for connection in list(self.active_channels.values()):
            if connection.is_overdue(now, self._limits):
                connection.give_up()

    def make_room(self, newcomer: Connection) -> None:
        """Close the connection that waits longest for its client, if there are too many."""
        connections = self.active_channels.values()
        per_address = self._limits.connections_per_address
        if per_address:
            neighbours = [client for client in connections if client.network == newcomer.network]
            if len(neighbours) > per_address:
                _close_longest_waiting(neighbours)
        if len(connections) > self._limits.connections:
            _close_longest_waiting(connections)


def _close_longest_waiting(connections: Collection[Connection]) -> None:
    # The newcomer is among them: it is closed if all others have a request in work.
    waiting = [connection for connection in connections if not connection.requests]
    min(waiting, key=lambda connection: connection.waiting_since).handle_close()


class _TcpServer(Server, TcpWSGIServer):
    pass


class _UnixServer(Server, UnixWSGIServer):
    pass


def server_on(
    listener: socket.socket,
    application: Any,
    objects: dict[int, Any],
    threads: ThreadedTaskDispatcher,
    adjustments: Adjustments,
    limits: Limits,
) -> Server:
    """Return a server that accepts connections from ``listener``, which listens already.

    ``objects`` are all objects that the main thread polls, by file descriptor.
    """
    name = listener.getsockname()
    server_class = _UnixServer if listener.family == socket.AF_UNIX else _TcpServer
    server = server_class(
        application,
        objects,
        True,
        listener,
        dispatcher=threads,
        adj=adjustments,
        sockinfo=(listener.family, listener.type, listener.proto, name),
        bind_socket=False,
        limits=limits,
    )
    # The host name of a request without the header Host.
    server.server_name = name[0] if isinstance(name, tuple) else "localhost"
    return server
