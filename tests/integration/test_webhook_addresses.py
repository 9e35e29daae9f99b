"""Messages to webhook endpoints go to public addresses only, and never take long."""

import socket
import threading
from typing import Any

import pytest

from ordering_write.webhooks import endpoints, sending
from tests.webhook_receiver import receiver


def test_nothing_is_sent_to_a_private_address_however_it_is_spelled(
    monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    answers = {
        "loopback.example": "127.0.0.1",
        "private.example": "10.1.2.3",
        "metadata.example": "169.254.169.254",
        "mapped.example": "::ffff:127.0.0.1",
        "translated.example": "64:ff9b::7f00:1",
        "tunnel.example": "2002:7f00:1::",
        "local.example": "fe80::1%lo",
        "unique.example": "fd00::1",
        "zero.example": "0.0.0.0",  # noqa: S104
        "multicast.example": "224.0.0.1",
    }

    def resolve(host: str, port: int, **_options: Any) -> list[Any]:
        addresses = (
            ["93.184.215.14", answers[host]] if host == "private.example" else [answers[host]]
        )
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with receiver() as books:
        port = int(books.url.split(":")[2].split("/")[0])
        for host in answers:
            with subtests.test("name", host=host):
                answer = sending.post(f"http://{host}:{port}/", b"{}", {})
                assert answer.status is None
                assert "WEBHOOK_PRIVATE_ADDRESSES=1" in answer.error
        assert books.messages == []


def test_an_address_that_nobody_could_use_is_refused(subtests: pytest.Subtests) -> None:
    for url in (
        "http://books.example/",
        "ftp://books.example/",
        "https://",
        "https://robin:secret@books.example/",
        "https://books.example/#part",
        "https://books.example/a b",
        "https://bücher.example/",
        "https://books.example:0/",
        "https://books.example:99999/",
        "https://[::1/",
        "books.example",
        "https://books.example/" + 500 * "a",
    ):
        with subtests.test("address", url=url), pytest.raises(ValueError, match=r"address|char"):
            endpoints.NewEndpoint(name="books", url=url)


def test_redirects_hangs_and_endless_answers_are_failures(
    settings: Any, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    settings.WEBHOOK_PRIVATE_ADDRESSES = True
    monkeypatch.setattr(sending, "SECONDS", 0.3)
    server = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    answers = {
        "a redirect": (
            b"HTTP/1.1 307 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            "307",
        ),
        "nothing": (b"", ""),
        "no HTTP": (b"hello\r\n\r\n", ""),
        "an endless answer": (b"HTTP/1.1 200 OK\r\nX-A: " + 70_000 * b"a", ""),
        "half an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", ""),
    }
    with server:
        for name, (content, error) in answers.items():
            with subtests.test("answer", name=name):

                def serve(content: bytes = content) -> None:
                    peer, _ = server.accept()
                    with peer:
                        peer.recv(10_000)
                        peer.sendall(content)
                        # Until the sender gives up.
                        peer.recv(1)

                thread = threading.Thread(target=serve)
                thread.start()
                answer = sending.post(url, b"{}", {})
                thread.join()
                assert not answer.is_success
                assert answer.error.startswith(error)
    assert not sending.post(url, b"{}", {}).is_success
