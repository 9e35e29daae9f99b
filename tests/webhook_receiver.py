"""A receiver of webhooks on loopback, whose answers a test chooses."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from pydantic_core import from_json


@dataclass(frozen=True)
class Received:
    """A message as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = from_json(self.body)
        return event

    @property
    def event_id(self) -> UUID:
        return UUID(self.headers["Webhook-Id"])


@dataclass
class Receiver:
    """The messages that came in, in their order; ``answer`` returns the status of the next one."""

    url: str
    messages: list[Received] = field(default_factory=list)
    answer: Callable[[Received], int] = lambda _message: 204

    @property
    def event_ids(self) -> list[UUID]:
        """The ids of the events, without repeats."""
        return list(dict.fromkeys(message.event_id for message in self.messages))

    def event_ids_of(self, stream: str) -> list[UUID]:
        """Return the ids of the events of a stream as they came in, with repeats."""
        return [message.event_id for message in self.messages if message.event["stream"] == stream]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Yield a receiver that listens until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            message = Received(self.path, dict(self.headers), body)
            status = chosen.answer(message)
            chosen.messages.append(message)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    chosen = Receiver(f"http://127.0.0.1:{server.server_port}/orders?shop=1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield chosen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
