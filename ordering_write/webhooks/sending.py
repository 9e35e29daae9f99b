"""Posts a message to an address: only to public ones, never longer than SECONDS, no redirects."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

# The longest that one try may take, from the look-up of the name to the end of the answer.
SECONDS = 10.0
_CONNECT_SECONDS = 5.0
# The bytes of an answer that are read: they are shown with a failed try.
_ANSWER_BYTES = 300
# Addresses that a gateway translates to IPv4: the last 32 bits (RFC 6052).
_TRANSLATED = IPv6Network("64:ff9b::/96")


class PrivateAddressError(Exception):
    """The address is in a private network. WEBHOOK_PRIVATE_ADDRESSES=1 allows such addresses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a try: an HTTP status, or None and the error; ``error`` is empty on success."""

    status: int | None
    error: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Post ``body`` to ``url``; any status from 200 to 299 is a success. Raises nothing."""
    try:
        return _post(urlsplit(url), body, headers)
    except (PrivateAddressError, OSError, HTTPError, HTTPException) as error:
        return Answer(None, f"{type(error).__name__}: {error}"[:500])


def _post(address: SplitResult, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = _connected(address)
    try:
        with _ending_after(connection, SECONDS):
            path = f"{address.path or '/'}{f'?{address.query}' if address.query else ''}"
            connection.request("POST", path, body=body, headers=dict(headers))
            response = connection.getresponse()
            text = response.read(_ANSWER_BYTES).decode(errors="replace")
    finally:
        connection.close()
    if 200 <= response.status < 300:
        return Answer(response.status)
    return Answer(response.status, f"{response.status} {response.reason}: {text}".strip(": "))


def _connected(address: SplitResult) -> HTTPConnection:
    """Return a connection to the first address of the host that can be reached.

    The address is resolved once, checked, and connected to: a second look-up might answer with
    another address. Raises PrivateAddressError and OSError.
    """
    host = address.hostname or ""
    port = address.port or (443 if address.scheme == "https" else 80)
    ips = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not settings.WEBHOOK_PRIVATE_ADDRESSES and not all(map(_is_public, ips)):
        raise PrivateAddressError(PrivateAddressError.__doc__)
    *others, last = dict.fromkeys(ips)
    for ip in others:
        with contextlib.suppress(OSError, HTTPError):
            return _connect(address.scheme, ip, host, port)
    return _connect(address.scheme, last, host, port)


def _connect(scheme: str, ip: str, host: str, port: int) -> HTTPConnection:
    connection: HTTPConnection
    if scheme == "https":
        connection = HTTPSConnection(
            ip,
            port,
            timeout=_CONNECT_SECONDS,
            server_hostname=host,
            assert_hostname=host,
            ssl_context=_tls(),
        )
    else:
        connection = HTTPConnection(ip, port, timeout=_CONNECT_SECONDS)
    connection.connect()
    connection.sock.settimeout(SECONDS)
    return connection


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _is_public(text: str) -> bool:
    ip: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(ip, IPv6Address):
        within = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _TRANSLATED else None
        ip = within or ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


@contextlib.contextmanager
def _ending_after(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """Cut ``connection`` after ``seconds``: a peer that sends byte by byte resets each timeout."""
    peer = connection.sock

    def cut() -> None:
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
