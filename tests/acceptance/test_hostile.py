"""Hostile requests: the service never fails, and stored values never break a list."""

import http.client
import json
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.service import Service
from tests.acceptance.shop import ADDRESS, Shop
from tests.proof import size

REQUESTS = size(400, full=1_500)
# The items of each list that are read afterwards.
ITEMS = size(15, full=100)
LISTS = (
    "/orders?page_size=100",
    "/customers?page_size=100",
    "/inventory?page_size=100",
    "/projections",
    "/parked-events",
)
BODY = "application/json"
METHODS = ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X")
PATHS = (
    "/api/v1",
    "/api/v1/orders",
    "/api/v1/orders",
    "/api/v1/orders/{order}",
    "/api/v1/orders/{order}/cancel",
    "/api/v1/orders/{order}/status",
    "/api/v1/customers",
    "/api/v1/customers/{customer}",
    "/api/v1/customers/{customer}/orders",
    "/api/v1/inventory",
    "/api/v1/inventory/{product}",
    "/api/v1/inventory/{product}/receipts",
    "/api/v1/projections",
    "/api/v1/parked-events/{order}/skip",
    "/api/v1/{order}",
    "/api/v1/../../{order}",
    "/api/schema",
    "/api/docs",
    "/admin/login/",
    "/problems/{order}",
    "/readyz",
    "/{order}",
    "/",
)
# Parts of a path or a query, percent-encoded or not.
SEGMENTS = (
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "..%2f..%2fetc%2fpasswd",
    "'; DROP TABLE event; --",
    "{}{}",
    "%0d%0aSet-Cookie:%20a=b",
    "١٢",
    "a" * 3_000,
    "00000000-0000-0000-0000-00000000000g",
    "0" * 32,
    "{" + "0" * 32 + "}",
    "urn:uuid:" + "0" * 32,
    "None",
    "-1",
)
PARAMETERS = (
    "page",
    "page_size",
    "status",
    "customer",
    "format",
    "ordering",
    "search",
    "limit",
    "cursor",
    "_connector",
    "customer__user__password",
    "%00",
    "",
)
VALUES = (
    "1",
    "0",
    "-1",
    "1" + "0" * 23,
    "1.0",
    "1e9",
    "%31%00",
    "١",
    "NaN",
    "OR",
    "pending,pending,",
    "," * 1_000,
    "%ed%a0%80",
    "%ff",
    "api",
    "json",
    "xml",
    "a+b%20c%",
    "x" * 2_000,
)
TEXTS: tuple[Any, ...] = (
    "",
    " ",
    "\u202egnp.exe",
    "\x1b[31m",
    "a\r\nSet-Cookie: a=b",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "=cmd|' /C calc'!A0",
    "😀" * 100,
    "e\u0301" * 99,
    "\ufeff",
    "x" * 100_000,
    "\ud800",
    "\x00",
)
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    1e300,
    [],
    {},
    [[]],
    {"a": {"b": [None]}},
    "1_000",
    "١٢.٥",
    "１２",
    "1e5",
    "NaN",
    "-0",
    "0x10",
)
RAW = (
    b"",
    b"{",
    b"null",
    b"[" * 100_000,
    b'{"a":' * 10_000,
    b'{"a": NaN}',
    b'{"a": 1e400}',
    b'{"a": 1, "a": 2}',
    b'{"\\ud800": 1}',
    b'{"name": "\\u0000"}',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"a": "' + b"x" * 1_100_000 + b'"}',
    b"a=b&_content=%7B%7D",
    b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--",
)
TYPES = (
    "application/json",
    "application/json; charset=utf-16",
    "application/json; charset=nonsense",
    'application/json; charset="',
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "text/plain",
    "/",
    "é",
    "application/json; a*=utf-99''x",
)
HEADERS = (
    ("Accept", "text/html"),
    ("Accept", "text/html"),
    ("Accept", "application/xml"),
    ("Accept", "a/b; q=x; é*=utf-99''"),
    ("Accept", "*/*;" * 200),
    ("Authorization", "Token"),
    ("Authorization", "Token a b"),
    ("Authorization", "Token é"),
    ("Authorization", "Basic !!!!"),
    ("Cookie", "sessionid=\x7f; csrftoken=" + "x" * 500),
    ("Cookie", 'sessionid="a\\000b"'),
    ("Idempotency-Key", "é"),
    ("Idempotency-Key", "x" * 500),
    ("Request-Id", "é\t"),
    ("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-00"),
    ("Host", "elsewhere.example"),
    ("Host", "[::1"),
    ("X-Forwarded-Host", "elsewhere.example"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("If-Modified-Since", "yesterday"),
    ("Range", "bytes=9-1"),
    ("Referer", "\xff"),
)


class Attacker:
    """Makes hostile requests; the same seed makes the same requests."""

    def __init__(self, seed: int, *, ids: dict[str, str], tokens: list[str]) -> None:
        self._random = random.Random(seed)
        self._ids = ids
        self._tokens = tokens

    def requests(self) -> Iterator[tuple[str, str, list[tuple[str, str]], bytes]]:
        """Yield method, URL, headers and body, without end."""
        pick, chance = self._random.choice, self._random.random
        while True:
            headers = [pick(HEADERS) for _ in range(pick([0, 0, 1, 2]))]
            headers.append(("Content-Type", BODY if chance() < 0.8 else pick(TYPES)))
            if (token := pick(self._tokens)) and "Authorization" not in dict(headers):
                headers.append(("Authorization", f"Token {token}"))
            path = pick(PATHS)
            method = pick(METHODS) if chance() < 0.3 else pick(["GET", "POST", "POST"])
            yield method, self._address(path), headers, self._body(path)

    def _address(self, path: str) -> str:
        pick, chance = self._random.choice, self._random.random
        if chance() < 0.3:
            things = ["{order}", "{customer}", "{product}"]
            for thing in things:
                path = path.replace(thing, quote(pick(SEGMENTS), safe="%"))
        path = path.format(**self._ids) + ("/" if chance() < 0.1 else "")
        if chance() < 0.3:
            values = [quote(pick(VALUES), safe="%+") for _ in range(self._random.randint(1, 3))]
            path += "?" + "&".join(f"{pick(PARAMETERS)}={value}" for value in values)
        return path

    def _body(self, path: str) -> bytes:
        pick, chance = self._random.choice, self._random.random
        if chance() < 0.15:
            return pick(RAW)
        body = self._sound_body(path if chance() < 0.9 else pick(PATHS))
        for _ in range(pick([0, 1, 1, 2])):
            self._spoil(body)
        # Lone surrogates are written as escapes, as JSON can.
        return json.dumps(body).encode()

    def _sound_body(self, path: str) -> dict[str, Any]:
        pick, number = self._random.choice, self._random.randrange(10**9)
        match path.rpartition("/")[2]:
            case "orders":
                item = {"product_id": self._ids["product"], "quantity": 1, "unit_price": "19.90"}
                return {
                    "customer_id": self._ids["customer"],
                    "items": [dict(item) for _ in range(self._random.randint(1, 3))],
                    "shipping_address": dict(ADDRESS),
                    "note": "Ring twice",
                    "tags": ["urgent"],
                    "external_reference": str(number),
                }
            case "customers":
                return {"name": "Kim Example", "email": f"{number}@example.com", "phone": "1"}
            case "inventory":
                return {"sku": f"{number}", "name": "Rug", "on_hand": 1, "list_price": "1.00"}
            case "receipts":
                return {"quantity": 1, "reference": "Delivery"}
            case "status":
                return {"status": pick(["confirmed", "processing", "shipped"]), "reason": "Now"}
        return {"reason": "Mistake", "reason_code": "other"}

    def _spoil(self, body: Any) -> None:
        """Replace, remove or add a value, at any depth."""
        pick, chance = self._random.choice, self._random.random
        names = list(body) if isinstance(body, dict) else list(range(len(body)))
        name = pick(names) if names else "more"
        inner = body[name] if names else None
        if isinstance(inner, dict | list) and inner and chance() < 0.7:
            self._spoil(inner)
        elif isinstance(body, dict) and chance() < 0.2:
            body[pick(["actor", "command_id", "__proto__", "user_id", "x" * 500])] = pick(ODD)
        elif isinstance(body, list) and chance() < 0.2:
            body.extend([inner] * 300)
        else:
            body[name] = pick(TEXTS) if chance() < 0.6 else pick(ODD)


@pytest.fixture
def ids(shop: Shop) -> dict[str, str]:
    """Return ids that exist, so that hostile commands reach their handlers."""
    customer, product = shop.customer(), shop.product(1_000_000)
    return {
        "customer": customer,
        "product": product,
        "order": shop.order(customer, product),
    }


def send(
    service: Service, method: str, address: str, headers: list[tuple[str, str]], body: bytes
) -> int:
    """Send a request byte by byte as given, on a new connection; return the status."""
    host = service.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        names = {name for name, _ in headers}
        connection.putrequest(method, address, skip_host="Host" in names)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.proof
def test_no_hostile_request_makes_the_service_fail(
    service: Service, shop: Shop, ids: dict[str, str]
) -> None:
    tokens = [service.tokens["admin"], service.tokens["admin"], service.tokens["customer"], ""]
    attacker = Attacker(20_260_301, ids=ids, tokens=tokens).requests()
    attacks = [next(attacker) for _ in range(REQUESTS)]

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(lambda attack: send(service, *attack), attacks))

    failures = [
        (status, *(str(part)[:500] for part in attack))
        for status, attack in zip(statuses, attacks, strict=True)
        if status >= 500
    ]
    assert failures == [], service.log("web")[-5_000:]
    # Enough requests were valid for the test to mean something.
    assert sum(200 <= status < 300 for status in statuses) > REQUESTS / 20
    assert "Traceback" not in service.log("web")
    service.settle()
    for path in LISTS:
        assert_can_be_read(shop, path)


def assert_can_be_read(shop: Shop, path: str) -> None:
    """Read every page of the list at ``path`` in both formats, and the first items one by one."""
    first = shop.admin.get(path).json()
    for item in first["results"][:ITEMS]:
        if "links" in item:
            assert shop.admin.get(item["links"]["self"]).status_code == 200
    page: str | None = path
    while page:
        response = shop.admin.get(page)
        html = shop.admin.get(page, headers={"Accept": "text/html"})
        assert (response.status_code, html.status_code) == (200, 200)
        page = response.json()["next"]


def test_a_request_that_is_not_http_is_refused(service: Service, subtests: pytest.Subtests) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    cases = [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"GET /api/v1/orders HTTP/1.1\r\n\r\n",
    ]
    for sent in cases:
        with subtests.test(repr(sent[:60])):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                response = connection.makefile("rb").readline()

            assert response == b"" or b" 4" in response[:14] or b" 505 " in response
            assert service.is_ready()


def test_stalled_clients_do_not_block_other_requests(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    half = b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
    with ExitStack() as stack:
        # Twice as many as the server has threads.
        for _ in range(32):
            stalled = socket.create_connection((host, int(port)))
            stack.enter_context(stalled)
            stalled.sendall(half)

        assert service.get("/healthz").status_code == 200
