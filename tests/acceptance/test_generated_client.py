"""A client generated from the OpenAPI document: a program that uses it type-checks and works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.service import ROOT, Service
from tests.acceptance.shop import Shop

SCENARIO = ROOT / "tests" / "acceptance" / "client_scenario.py"


def run(*command: str | Path, at: Path) -> None:
    # No program of the virtual environment is on the PATH, as for a user who didn't activate it.
    environ = {"PATH": os.defpath, "PYTHONPATH": str(at), "HOME": str(at)}
    process = subprocess.run(
        [sys.executable, *command], cwd=at, env=environ, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.proof
def test_a_generated_client_places_reads_and_cancels_an_order(
    service: Service, shop: Shop, tmp_path: Path
) -> None:
    document = tmp_path / "document.json"
    document.write_bytes(service.get("/api/schema").content)
    # Without hooks after the generation: the default ones format the code with a ruff on the PATH.
    config = tmp_path / "config.json"
    config.write_text('{"post_hooks": []}')
    paths: list[str | Path] = ["--path", document, "--output-path", tmp_path / "orders_client"]

    run(
        "-m",
        "openapi_python_client",
        "generate",
        "--meta",
        "none",
        "--fail-on-warning",
        "--config",
        config,
        *paths,
        at=tmp_path,
    )

    run("-m", "mypy", "--cache-dir=/dev/null", "--check-untyped-defs", SCENARIO, at=tmp_path)
    run(
        SCENARIO, service.url, service.tokens["admin"], shop.customer(), shop.product(), at=tmp_path
    )
