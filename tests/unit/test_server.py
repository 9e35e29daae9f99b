"""The web server reads whole requests before a thread answers them, and bounds slow clients."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.web_server import LARGE, Harness, echo

HEAD = b"GET /a HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: localhost\r\n"


def in_pieces(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Answer without a Content-Length."""
    start_response("200 OK", [])
    yield b"first"
    yield b"second"


@pytest.fixture
def harness() -> Iterator[Harness]:
    running = Harness(echo)
    yield running
    running.close()


def problem_of(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    problem: dict[str, Any] = json.loads(body)
    assert f" {problem['status']} ".encode() in head.split(b"\r\n")[0]
    return problem


# --- Whole requests ----------------------------------------------------------------------------
def test_a_request_in_pieces_is_answered_when_it_is_whole(harness: Harness) -> None:
    client = harness.connect(POST + b"Content-Length: 4\r\n\r\nab")
    assert not harness.server.is_busy()

    client.sendall(b"cd")

    assert harness.receive(client, b"abcd").endswith(b"POST /a 4 abcd")


def test_a_body_in_chunks_has_a_length(harness: Harness) -> None:
    client = harness.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    client.sendall(b"1\r\nc\r\n0\r\n\r\n")
    assert harness.receive(client, b"abc").endswith(b"POST /a 3 abc")


def test_a_connection_takes_many_requests(harness: Harness) -> None:
    client = harness.connect(HEAD + b"\r\n")
    assert harness.receive(client, b"GET /a  ")
    # Three requests at once are answered in order.
    for number in (1, 2, 3):
        client.sendall(POST.replace(b"/a", b"/%d" % number) + b"Content-Length: 0\r\n\r\n")
    answers = harness.receive(client, b"POST /3 0 ")
    assert answers.index(b"/1 ") < answers.index(b"/2 ") < answers.index(b"/3 ")


def test_a_request_of_http_1_0_closes_its_connection(harness: Harness) -> None:
    answer = harness.receive(harness.connect(b"GET /a HTTP/1.0\r\n\r\n"))
    assert answer.endswith(b"GET /a  ")


def test_an_answer_to_head_has_no_body(harness: Harness) -> None:
    client = harness.connect(HEAD.replace(b"GET", b"HEAD") + b"\r\n")
    client.sendall(HEAD + b"\r\n")
    answer = harness.receive(client, b"GET /a  ")
    first, second = answer.split(b"\r\n\r\n", 1)
    assert b"Content-Length: 9" in first
    assert second.startswith(b"HTTP/1.1 200")


def test_an_answer_to_head_in_pieces_has_no_body() -> None:
    harness = Harness(in_pieces)
    try:
        whole = harness.receive(harness.connect(HEAD + b"\r\n"))
        assert whole.endswith(b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")
        head = harness.receive(harness.connect(HEAD.replace(b"GET", b"HEAD") + b"\r\n"))
        assert head.endswith(b"\r\n\r\n")
        assert head.count(b"\r\n\r\n") == 1
    finally:
        harness.close()


def test_a_client_that_expects_100_continue_gets_it_once(harness: Harness) -> None:
    expect = b"Expect: 100-continue\r\n"
    client = harness.connect(POST + expect + b"Content-Length: 2\r\n\r\n")
    assert harness.receive(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"ab")
    assert harness.receive(client, b"ab").startswith(b"HTTP/1.1 200")
    # Without a body there is nothing to continue with.
    client.sendall(HEAD + expect + b"\r\n")
    assert harness.receive(client, b"GET /a ").startswith(b"HTTP/1.1 200")


def test_a_large_body_is_read_and_cut_so_that_django_refuses_it(harness: Harness) -> None:
    for head, body in (
        (b"Content-Length: 3000000\r\n\r\n", bytes(3_000_000)),
        (
            b"Transfer-Encoding: chunked\r\n\r\n",
            b"2dc6c0\r\n" + bytes(3_000_000) + b"\r\n0\r\n\r\n",
        ),
    ):
        client = harness.connect(POST + head)
        client.setblocking(True)
        client.settimeout(0.01)
        sent = 0
        while sent < len(body):
            with contextlib.suppress(TimeoutError):
                sent += client.send(body[sent:])
            harness.turn()
        client.setblocking(False)
        answer = harness.receive(client, b"\0" * 1_000_001)
        length = int(answer.partition(b"POST /a ")[2].split(b" ")[0])
        assert length > 1_000_000


def test_a_stopping_server_closes_each_connection_after_its_answer(harness: Harness) -> None:
    client = harness.connect(HEAD + b"\r\n")
    harness.receive(client, b"GET /a  ")
    harness.server.is_leaving = True
    client.sendall(HEAD + b"\r\n")
    assert b"Connection: close" in harness.receive(client)


# --- Refusals ----------------------------------------------------------------------------------
def test_a_request_that_proxies_could_read_otherwise_is_refused(
    harness: Harness, subtests: pytest.Subtests
) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n"
    cases = [
        POST + b"Content-Length: 3\r\n" + chunked + b"\r\n0\r\n\r\n",
        POST + chunked + b"Content-Length: 3\r\n\r\n0\r\n\r\n",
        POST + chunked + chunked + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST.replace(b"1.1", b"1.0") + chunked + b"\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        POST + b"Content-Length: 3, 3\r\n\r\nabc",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 0x3\r\n\r\nabc",
        POST + b"Content-Length:\r\n\t3\r\n\r\nabc",
        POST + chunked + b"\r\nzz\r\nabc\r\n0\r\n\r\n",
        POST + chunked + b"\r\n-3\r\nabc\r\n0\r\n\r\n",
        POST + chunked + b"\r\n3\r\nabcd\r\n0\r\n\r\n",
        POST + b"X: a\nContent-Length: 3\r\n\r\n",
        POST + b"X: a\0b\r\n\r\n",
        b"GET /a HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /a\r\n\r\n",
        b"get /a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ]
    for sent in cases:
        with subtests.test(repr(sent)):
            answer = harness.receive(harness.connect(sent + HEAD + b"\r\n"))
            assert problem_of(answer)["code"] == "malformed"
            assert answer.count(b"HTTP/1.1 ") + answer.count(b"HTTP/1.0 ") == 1


def test_a_head_beyond_the_limits_is_refused(harness: Harness, subtests: pytest.Subtests) -> None:
    cases = [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", "uri_too_long"),
        (HEAD + b"A: b\r\n" * 200 + b"\r\n", "headers_too_large"),
        (HEAD + b"A: " + b"b" * 70_000 + b"\r\n\r\n", "headers_too_large"),
        (POST + b"Content-Length: 10000001\r\nExpect: 100-continue\r\n\r\n", "too_large"),
    ]
    for sent, code in cases:
        with subtests.test(code=code):
            assert problem_of(harness.receive(harness.connect(sent)))["code"] == code


def test_a_header_with_an_underscore_does_not_pass_for_one_with_a_dash() -> None:
    def forwarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [environ.get("HTTP_X_FORWARDED_FOR", "none").encode()]

    harness = Harness(forwarded)
    try:
        client = harness.connect(HEAD + b"X_Forwarded_For: 192.0.2.1\r\n\r\n")
        assert harness.receive(client, b"none")
        client.sendall(HEAD + b"X-Forwarded-For: 192.0.2.2\r\n\r\n")
        assert harness.receive(client, b"192.0.2.2")
    finally:
        harness.close()


# --- Slow clients ------------------------------------------------------------------------------
def test_a_request_that_does_not_arrive_in_time_is_refused(
    harness: Harness, subtests: pytest.Subtests
) -> None:
    cases = [
        (HEAD + b"X: ", b"1", 10),
        (POST + b"Content-Length: 1000\r\n\r\n", b"1", 30),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", 30),
    ]
    for sent, piece, seconds in cases:
        with subtests.test(repr(sent)):
            client = harness.connect(sent)
            client.sendall(piece)
            harness.pass_time(seconds - 5)
            assert harness.is_open(client)
            # Another byte doesn't move the deadline.
            client.sendall(piece)
            harness.pass_time(seconds + 1)
            assert problem_of(harness.receive(client))["code"] == "request_timeout"


def test_an_idle_connection_is_closed(harness: Harness) -> None:
    fresh, used = harness.connect(), harness.connect(HEAD + b"\r\n")
    harness.receive(used, b"GET /a  ")
    harness.pass_time(15)
    assert harness.is_open(fresh)
    assert harness.is_open(used)

    harness.pass_time(21)

    assert (harness.receive(fresh), harness.receive(used)) == (b"", b"")


def test_a_slow_reader_holds_no_thread_and_is_closed_in_the_end(harness: Harness) -> None:
    slow = harness.connect(HEAD.replace(b"/a", b"/large") + b"\r\n")
    # The only thread answers others.
    assert harness.receive(harness.connect(HEAD + b"\r\n"), b"GET /a  ")
    harness.pass_time(0)
    harness.pass_time(25)
    assert harness.is_open(slow)

    harness.pass_time(1_000_000)

    assert not harness.server.active_channels
    assert len(harness.receive(slow)) < LARGE


def test_a_reader_that_keeps_up_gets_everything(harness: Harness) -> None:
    client = harness.connect(HEAD.replace(b"/a", b"/large") + b"\r\n")
    harness.pass_time(0)
    received = harness.receive(client, bytes(1_000_000))
    # 30 seconds, and one more for each 10,000 bytes.
    harness.pass_time(100)
    while len(received) < LARGE:
        received += harness.receive(client, b"\0")
    assert received.count(b"\0") == LARGE
