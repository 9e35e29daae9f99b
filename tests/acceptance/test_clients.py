"""The OpenAPI document is clean for linters, and TypeScript clients generated from it work.

They need node, and packages that `make proof` installs in tests/clients. The Python client is
generated in tests/acceptance/test_generated_client.py.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.service import ROOT, Service
from tests.acceptance.shop import Shop
from tests.proof import IS_PROOF

CLIENTS = ROOT / "tests" / "clients"
FILES = ("package.json", "tsconfig.json", "spectral.yaml", "with_fetch.ts", "with_hey_api.ts")
pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not IS_PROOF, reason="only `make proof` runs the linters and generators"),
    pytest.mark.skipif(
        not (CLIENTS / "node_modules").exists(),
        reason="the packages of tests/clients aren't installed: install node and npm, "
        "then run `make proof`",
    ),
]


class Programs:
    """The programs of node, in a folder that has the document of a running service."""

    def __init__(self, folder: Path, document: bytes) -> None:
        self.folder = folder
        for name in FILES:
            shutil.copy(CLIENTS / name, folder)
        (folder / "node_modules").symlink_to(CLIENTS / "node_modules")
        (folder / "document.json").write_bytes(document)

    def run(self, name: str, *arguments: str) -> str:
        """Run an installed program; return what it prints. A status other than 0 is an error."""
        return self._run(str(CLIENTS / "node_modules" / ".bin" / name), *arguments)

    def node(self, *arguments: str) -> None:
        self._run("node", *arguments)

    def _run(self, *command: str) -> str:
        quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        process = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | quiet,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout


@pytest.fixture(scope="module")
def programs(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("clients"), service.get("/api/schema").content)


def test_redocly_finds_nothing(programs: Programs) -> None:
    recommended = ("--extends", "recommended", "--format", "json")
    report = json.loads(programs.run("redocly", "lint", "document.json", *recommended))
    assert report["problems"] == []


def test_spectral_finds_nothing(programs: Programs) -> None:
    options = ("--ruleset", "spectral.yaml", "--format", "json", "--fail-severity", "hint")
    report = programs.run("spectral", "lint", "document.json", *options)
    assert json.JSONDecoder().raw_decode(report)[0] == []


def test_typescript_clients_place_read_and_cancel_and_meet_refusals(
    programs: Programs, service: Service, shop: Shop
) -> None:
    programs.run("openapi-typescript", "document.json", "--output", "generated/schema.d.ts")
    programs.run("openapi-ts", "--input", "document.json", "--output", "generated/hey_api")
    programs.run("tsc", "--project", ".")

    for program in ("with_fetch", "with_hey_api"):
        ids = (shop.customer(), shop.product())
        programs.node(f"built/{program}.js", service.url, service.tokens["admin"], *ids)
