"""Requests as they arrive: waitress's parser, with the rules of RFC 9112 that it leaves out."""

import re
import time
from typing import Any

from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, RequestHeaderFieldsTooLarge

from config.settings import MAX_BODY_BYTES

# Bytes of the request line, and the number of header fields.
_LINE_BYTES = 16_384
_FIELDS = 100
_CODING = re.compile(rb"^transfer-encoding:[ \t]*(.*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class RequestTimeout(BadRequest):
    code = 408
    reason = "Request Timeout"


class UrlTooLong(BadRequest):
    code = 414
    reason = "URI Too Long"


class Request(HTTPRequestParser):
    """One request; ``began`` and ``head_ended`` are times in epoch seconds."""

    # Waitress logs the path, even of a request that can't be read.
    path = ""

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.began = time.time()
        self.head_ended: float | None = None
        self._refusal: BadRequest | None = None

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.headers_finished and self.head_ended is None:
            self.head_ended = time.time()
        if self._refusal:
            self.error = self._refusal
        if self.completed:
            # Waitress would send 100 Continue and wait for a body that never comes.
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        self._refusal = _size_refusal(header_plus)
        if self._refusal:
            raise ParsingError(self._refusal.body)
        codings = [coding.lower() for coding in _CODING.findall(header_plus)]
        if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
            raise ParsingError("A header is folded over several lines.")
        if codings not in ([], [b"chunked"]):
            raise ParsingError("The only transfer coding is chunked, once.")
        super().parse_header(header_plus)
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("The version of HTTP is neither 1.0 nor 1.1.")
        if codings and (self.version == "1.0" or "CONTENT_LENGTH" in self.headers):
            # A proxy in front could see the end of the request elsewhere.
            raise ParsingError("The length of the body is ambiguous.")
        if self.body_rcv is not None:
            self.body_rcv.buf = _Body(self.adj.inbuf_overflow)


class _Body(OverflowableBuffer):
    """Keeps one byte more than Django accepts, so that Django refuses the body with 413."""

    def append(self, s: bytes) -> None:
        room = MAX_BODY_BYTES + 1 - len(self)
        if room > 0:
            super().append(s[:room])


def _size_refusal(head: bytes) -> BadRequest | None:
    if head.find(b"\r\n") > _LINE_BYTES:
        return UrlTooLong(f"The request line is longer than {_LINE_BYTES} bytes.")
    if head.count(b"\r\n") - 2 > _FIELDS:
        return RequestHeaderFieldsTooLarge(f"The request has more than {_FIELDS} headers.")
    return None
