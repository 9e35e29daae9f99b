"""The files in deploy/ are what the programs that read them accept, and what the page says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT: Path = settings.BASE_DIR
DEPLOY = ROOT / "deploy"
ENVIRONMENT = re.findall(r"^(\w+)=(.*)$", (DEPLOY / "orders.env").read_text(), re.MULTILINE)
# | `NAME` | meaning | default | `example` |
ROW = re.compile(r"^\| `(\w+)` \| (.+) \| (.+) \| `(.+)` \|$", re.MULTILINE)


def run(*command: str) -> str:
    process = subprocess.run(command, capture_output=True, text=True)
    return f"{process.stdout}{process.stderr}" if process.returncode else ""


def test_the_environment_is_read_alike_by_systemd_and_a_shell() -> None:
    text = (DEPLOY / "orders.env").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"\w+=[^\s#\"'$]+", line)] == []


def test_the_table_of_variables_is_that_of_the_example_and_the_settings() -> None:
    rows = ROW.findall((ROOT / "docs" / "deployment.md").read_text())
    listed = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert [(name, example) for name, _, _, example in rows] == ENVIRONMENT
    required = {"DATABASE_URL", "READ_DATABASE_URL", "SECRET_KEY", "PUBLIC_URL", "ADMINS"}
    for name, meaning, default, _ in rows:
        # .env.example has an example in place of a default for what has none.
        without = name in required or not listed[name]
        assert default == ("–" if without else f"`{listed[name]}`"), name
        assert meaning.endswith("."), name


def test_units_are_valid(tmp_path: Path) -> None:
    if not (analyze := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze isn't installed (apt install systemd)")
    for unit in (DEPLOY / "systemd").glob("*.service"):
        text = unit.read_text()
        assert text.startswith(f"# /etc/systemd/system/{unit.name}\n")
        copy = tmp_path / unit.name
        # The command must exist.
        copy.write_text(text.replace("/srv/orders/current/.venv/bin/python", sys.executable))
        assert run(analyze, "verify", "--man=no", str(copy)) == ""


def test_the_web_server_may_stop_as_slowly_as_its_variables_say() -> None:
    unit = (DEPLOY / "systemd" / "orders-web.service").read_text()
    [limit] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    values = dict(ENVIRONMENT)
    assert int(limit) > int(values["WEB_DRAIN_SECONDS"]) + int(values["WEB_FINISH_SECONDS"])


def test_the_front_is_valid(tmp_path: Path) -> None:
    if not (haproxy := shutil.which("haproxy", path="/usr/sbin:/usr/bin")):
        pytest.skip("haproxy isn't installed (apt install haproxy)")
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    # Without the certificate, which isn't in the repository.
    copy = tmp_path / "haproxy.cfg"
    copy.write_text(re.sub(r" ssl crt \S+ alpn \S+", "", text))
    assert "Fatal" not in run(haproxy, "-c", "-f", str(copy))
    assert run(haproxy, "-c", "-f", str(copy)) == ""
