"""The threads that answer requests, and the requests that wait for one: clients take turns."""

from collections import OrderedDict, deque

from waitress.task import ThreadedTaskDispatcher

from config.server.connections import Connection


class FairQueue:
    """Connections with a request, as the queue of waitress's threads; they hold its lock.

    Each client (see ``Connection.network``) gets a thread in its turn, so that many requests of
    one client delay the next request of another client by one request.
    """

    def __init__(self) -> None:
        # The connections of each client, the client whose turn it is first.
        self._waiting: OrderedDict[str, deque[Connection]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, connection: Connection) -> None:
        """Add a connection behind the others of its client."""
        self._waiting.setdefault(connection.network, deque()).append(connection)
        self._length += 1

    def popleft(self) -> Connection:
        """Remove and return the next connection. Raises StopIteration if none waits."""
        client = next(iter(self._waiting))
        connections = self._waiting[client]
        connection = connections.popleft()
        self._length -= 1
        if connections:
            self._waiting.move_to_end(client)
        else:
            del self._waiting[client]
        return connection


def started_threads(count: int) -> ThreadedTaskDispatcher:
    """Return ``count`` running threads, whose requests wait in a FairQueue."""
    threads = ThreadedTaskDispatcher()
    threads.queue = FairQueue()
    threads.set_thread_count(count)
    return threads
