"""The stream on NATS JetStream: position N of the log is sequence N of the stream.

Each publication names the last sequence that it expects, so that the servers themselves refuse a
repeat and a gap.
"""

import asyncio
import json
import random
import time
from base64 import b64decode
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from config.streams import Stream
from ordering_write.relay.errors import (
    IncompleteStreamError,
    MessageTooLargeError,
    NoStreamError,
    StreamMovedError,
    StreamUnavailableError,
)
from ordering_write.relay.port import Message, StreamEnd, bucket, end_of

Result = TypeVar("Result")

# Seconds for one call: three of them are shorter than a transaction may be idle.
_SECONDS = 3.0
_CONNECT_SECONDS = 1
# Seconds without a call after which the servers may have closed the connection.
_IDLE_SECONDS = 60.0
# Codes of the servers: there is no such stream; the expected last sequence is wrong.
_NO_STREAM = 10059
_NO_MESSAGE = 10037
_WRONG_SEQUENCE = (10071, 10164)
# Statuses after the last message of a batch: there are more; there is none.
_ENDS = ("204", "404")
# Messages of one batch, of those of one bucket.
_READ_AT_ONCE = 500


class JetStream:
    """A connection to the servers, which works during calls only, in the thread that calls."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._used_at = 0.0
        # True if the servers have atomic batches: NATS 2.12 and newer.
        self._has_batches = False

    def end(self) -> StreamEnd:
        return self._call(self._end())

    def append(self, messages: Sequence[Message]) -> None:
        self._call(self._append(messages))

    def read(self, after: int, limit: int) -> list[bytes]:
        """Return up to ``limit`` messages after a position. Raises NoStreamError."""
        return self._call(self._read({"seq": after + 1, "batch": limit}))

    def read_bucket(self, stream: str, *, after: int) -> list[bytes]:
        """Return messages after a position that have the bucket of ``stream``, the first ones.

        An empty list says that there are no more. Raises NoStreamError.
        """
        subject = f"{self._stream.name}.{bucket(stream)}.>"
        wanted = {"seq": after + 1, "batch": _READ_AT_ONCE, "next_by_subj": subject}
        return self._call(self._read(wanted))

    def last(self) -> bytes | None:
        """Return the last message; None if the stream is empty. Raises NoStreamError."""
        return self._call(self._last())

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._disconnect())
            self._loop.close()

    # --- Connection ----------------------------------------------------------------------------
    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            return self._loop.run_until_complete(asyncio.wait_for(work, _SECONDS))
        except (Error, OSError, TimeoutError) as error:
            self._loop.run_until_complete(self._disconnect())
            reason = str(error) or "no answer came in time"
            raise StreamUnavailableError(reason) from error
        finally:
            self._used_at = time.monotonic()

    async def _connected(self) -> Client:
        is_fresh = time.monotonic() - self._used_at < _IDLE_SECONDS
        if self._client is not None and self._client.is_connected and is_fresh:
            return self._client
        await self._disconnect()
        servers = self._stream.nats_servers
        *others, last = random.sample(servers, len(servers))
        for server in others:
            try:
                return await self._connect(server)
            except (Error, OSError, TimeoutError):
                continue
        return await self._connect(last)

    async def _connect(self, server: str) -> Client:
        client = Client()
        await client.connect(
            server,
            name="order service",
            allow_reconnect=False,
            connect_timeout=_CONNECT_SECONDS,
            # An address that refuses is tried twice, at once, before the next server.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=_ignore,
        )
        self._client = client
        return client

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()

    async def _ask(self, request: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request of JetStream's own API, which may be an error."""
        client = await self._connected()
        subject = f"$JS.API.{request}.{self._stream.name}"
        message = await client.request(subject, json.dumps(content).encode(), timeout=_SECONDS)
        answer: dict[str, Any] = json.loads(message.data)
        return answer

    # --- The end of the stream -----------------------------------------------------------------
    async def _end(self) -> StreamEnd:
        info = await self._ask("STREAM.INFO", {})
        if _code(info) == _NO_STREAM:
            info = await self._ask("STREAM.CREATE", self._configuration())
        _check(info)
        self._has_batches = bool(info["config"].get("allow_atomic"))
        state = info["state"]
        if state["messages"] != state["last_seq"]:
            raise IncompleteStreamError(self._stream.name)
        if not state["last_seq"]:
            return StreamEnd(0)
        answer = await self._ask("STREAM.MSG.GET", {"seq": state["last_seq"]})
        _check(answer)
        return end_of(b64decode(answer["message"]["data"]))

    def _configuration(self) -> dict[str, Any]:
        return {
            "name": self._stream.name,
            "description": "The log of the order service. Position N is sequence N.",
            "subjects": [f"{self._stream.name}.>"],
            "storage": "file",
            "retention": "limits",
            "num_replicas": self._stream.replicas,
            "max_consumers": -1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "deny_delete": True,
            "deny_purge": True,
            "allow_direct": True,
            "allow_atomic": True,
        }

    # --- Reading -------------------------------------------------------------------------------
    async def _last(self) -> bytes | None:
        answer = await self._ask("STREAM.MSG.GET", {"last_by_subj": f"{self._stream.name}.>"})
        if _code(answer) == _NO_MESSAGE:
            return None
        if _code(answer) == _NO_STREAM:
            raise NoStreamError(self._stream.name)
        _check(answer)
        return b64decode(answer["message"]["data"])

    async def _read(self, wanted: Mapping[str, Any]) -> list[bytes]:
        client = await self._connected()
        inbox = client.new_inbox()
        bodies: list[bytes] = []
        # The status after the last message: the end of the batch, or an error.
        status: asyncio.Future[str] = self._loop.create_future()

        async def receive(answer: Msg) -> None:
            end = (answer.headers or {}).get("Status")
            if end is None:
                bodies.append(answer.data)
            elif not status.done():
                status.set_result(end)

        # A callback takes half the time of waiting for each message.
        answers = await client.subscribe(inbox, cb=receive)
        try:
            subject = f"$JS.API.DIRECT.GET.{self._stream.name}"
            await client.publish(subject, json.dumps(wanted).encode(), reply=inbox)
            if await asyncio.wait_for(status, _SECONDS) not in _ENDS:
                raise NoStreamError(self._stream.name)
            return bodies
        finally:
            await answers.unsubscribe()

    # --- Publication ---------------------------------------------------------------------------
    async def _append(self, messages: Sequence[Message]) -> None:
        client = await self._connected()
        for message in messages:
            if len(message.body) > client.max_payload:
                size = len(message.body)
                raise MessageTooLargeError(message.position, size, client.max_payload)
        if self._has_batches and len(messages) > 1:
            answers = [await self._publish_batch(client, messages)]
        else:
            # Sent at once: if the servers refuse one, they refuse those after it too.
            requests = [self._publish(client, message) for message in messages]
            answers = await asyncio.gather(*requests)
        for answer in answers:
            _check(answer)

    async def _publish_batch(self, client: Client, messages: Sequence[Message]) -> dict[str, Any]:
        batch = uuid4().hex
        *others, last = messages
        for number, message in enumerate(others, start=1):
            headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            if number == 1:
                headers |= _expecting(message)
            await client.publish(self._subject(message), message.body, headers=headers)
        headers = {
            "Nats-Batch-Id": batch,
            "Nats-Batch-Sequence": str(len(messages)),
            "Nats-Batch-Commit": "1",
        }
        return await self._request(client, last, headers)

    async def _publish(self, client: Client, message: Message) -> dict[str, Any]:
        return await self._request(client, message, _expecting(message))

    async def _request(
        self, client: Client, message: Message, headers: dict[str, str]
    ) -> dict[str, Any]:
        subject = self._subject(message)
        reply = await client.request(subject, message.body, timeout=_SECONDS, headers=headers)
        answer: dict[str, Any] = json.loads(reply.data)
        return answer

    def _subject(self, message: Message) -> str:
        return f"{self._stream.name}.{bucket(message.stream)}.{message.type}"


def _expecting(message: Message) -> dict[str, str]:
    return {"Nats-Expected-Last-Sequence": str(message.position - 1)}


def _code(answer: Mapping[str, Any]) -> int:
    code: int = answer.get("error", {}).get("err_code", 0)
    return code


def _check(answer: Mapping[str, Any]) -> None:
    if _code(answer) in _WRONG_SEQUENCE:
        raise StreamMovedError(answer["error"]["description"])
    if "error" in answer:
        raise StreamUnavailableError(answer["error"].get("description", answer["error"]))


async def _ignore(_error: Exception) -> None:
    """Log nothing: the call that fails raises the error."""
