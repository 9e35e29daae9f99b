"""A client is generated of the OpenAPI document, and a program that uses it is typed and works."""

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.service import ROOT, Service
from tests.acceptance.shop import Shop

STORY = ROOT / "tests" / "acceptance" / "client_story.py"


def run(*command: str | Path, at: Path) -> None:
    # The generator formats what it writes by the ruff that it finds.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {"PATH": path, "PYTHONPATH": str(at), "HOME": str(at)}
    ended = subprocess.run(
        [sys.executable, *command], cwd=at, env=environ, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_generated_client_places_reads_and_cancels_an_order(
    service: Service, shop: Shop, tmp_path: Path
) -> None:
    document = tmp_path / "document.json"
    document.write_bytes(service.get("/api/schema").content)
    places: list[str | Path] = ["--path", document, "--output-path", tmp_path / "orders_client"]

    run(
        "-m",
        "openapi_python_client",
        "generate",
        "--meta",
        "none",
        "--fail-on-warning",
        *places,
        at=tmp_path,
    )

    run("-m", "mypy", "--check-untyped-defs", STORY, at=tmp_path)
    run(STORY, service.url, service.tokens["admin"], shop.customer(), shop.product(), at=tmp_path)
