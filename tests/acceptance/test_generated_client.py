"""A client generated from the OpenAPI document: a program that uses it type-checks and works."""

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.service import ROOT, Service
from tests.acceptance.shop import Shop

SCENARIO = ROOT / "tests" / "acceptance" / "client_scenario.py"


def run(*command: str | Path, at: Path) -> None:
    # The generator formats its files with the ruff of its PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {"PATH": path, "PYTHONPATH": str(at), "HOME": str(at)}
    process = subprocess.run(
        [sys.executable, *command], cwd=at, env=environ, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_a_generated_client_places_reads_and_cancels_an_order(
    service: Service, shop: Shop, tmp_path: Path
) -> None:
    document = tmp_path / "document.json"
    document.write_bytes(service.get("/api/schema").content)
    paths: list[str | Path] = ["--path", document, "--output-path", tmp_path / "orders_client"]

    run(
        "-m",
        "openapi_python_client",
        "generate",
        "--meta",
        "none",
        "--fail-on-warning",
        *paths,
        at=tmp_path,
    )

    run("-m", "mypy", "--check-untyped-defs", SCENARIO, at=tmp_path)
    run(
        SCENARIO, service.url, service.tokens["admin"], shop.customer(), shop.product(), at=tmp_path
    )
