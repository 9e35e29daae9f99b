"""Debian's HAProxy with the configuration of deploy/, in front of the nodes of a test."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Self

import pytest
from django.conf import settings

from tests.acceptance.copies import free_port
from tests.acceptance.rolling import Node
from tests.acceptance.service import start, wait_until
from tests.patience import PATIENCE_SECONDS

CONFIGURATION: Path = settings.BASE_DIR / "deploy" / "haproxy" / "haproxy.cfg"
_NEW_CERTIFICATE = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=orders"
    " -addext subjectAltName=IP:127.0.0.1 -keyout - -out -"
)


def skip_without_it() -> None:
    """Leave the test out where HAProxy, or OpenSSL for its certificate, isn't installed."""
    if not (_program("haproxy") and _program("openssl")):
        pytest.skip("haproxy or openssl isn't installed (apt install haproxy openssl)")


def _program(name: str) -> str:
    return shutil.which(name, path="/usr/sbin:/usr/bin") or ""


class HAProxy:
    """A running HAProxy; the nodes and its own addresses and certificate are those of the test.

    Its files are in ``folder``.
    """

    def __init__(self, folder: Path, nodes: Sequence[Node]) -> None:
        self._folder = folder
        self._nodes = nodes
        self._port = free_port()
        self._log = folder / "haproxy.log"

    def __enter__(self) -> Self:
        certificate = self._folder / "orders.pem"
        openssl = [_program("openssl"), *_NEW_CERTIFICATE.split()]
        made = subprocess.run(openssl, capture_output=True, check=True)
        certificate.write_bytes(made.stdout)
        self._tls = ssl.create_default_context(cafile=certificate)
        configuration = self._folder / "haproxy.cfg"
        configuration.write_text(self._configuration(certificate))
        self._program = start(["-f", str(configuration)], {}, self._log, python=_program("haproxy"))
        wait_until(self._listens)
        return self

    def __exit__(self, *error: object) -> None:
        self._program.terminate()
        self._program.wait(PATIENCE_SECONDS)

    def port(self) -> int:
        return self._port

    def connection(self, port: int) -> HTTPConnection:
        return HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS, context=self._tls)

    def has(self, node: Node) -> bool:
        """Return True if requests are sent to the node, by the last message about it."""
        messages = rf"^Server web/{self._name(node)} is (UP|DOWN)"
        return ["UP", *re.findall(messages, self._log.read_text(), re.MULTILINE)][-1] == "UP"

    def lacks(self, node: Node) -> bool:
        return not self.has(node)

    def requests_to(self, node: Node) -> int:
        """Return the number of requests to the node that the log has so far."""
        return self._log.read_text().count(f" web/{self._name(node)} ")

    def _name(self, node: Node) -> str:
        return f"web{self._nodes.index(node) + 1}"

    def _listens(self) -> bool:
        assert self._program.poll() is None, self._log.read_text()
        connection = self.connection(self._port)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def _configuration(self, certificate: Path) -> str:
        text = CONFIGURATION.read_text()
        places = {
            r"log /dev/log": "log stdout format raw",
            r"bind :80$": f"bind 127.0.0.1:{free_port()}",
            r"bind :443 ssl crt \S+": f"bind 127.0.0.1:{self._port} ssl crt {certificate}",
        }
        for node in self._nodes:
            server = f"server {self._name(node)} "
            places[rf"{server}\S+"] = f"{server}127.0.0.1:{node.port}"
        for pattern, place in places.items():
            text, number = re.subn(pattern, place, text, flags=re.MULTILINE)
            assert number == 1, pattern
        return text
