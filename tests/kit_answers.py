"""Recorded answers: the examples of the OpenAPI document, in ``config/answers.json``.

    RECORD_ANSWERS=1 .venv/bin/python -m pytest tests/integration/test_contract_examples.py

records them anew. A field that is newer than the records has an example all the same, made of its
type, until then.
"""

import json
import os
from pathlib import Path
from typing import Any

from config.http.openapi.examples import SITE
from tests.kit_contract import Operation

PATH = Path(__file__).parents[1] / "config" / "answers.json"
IS_ON = os.environ.get("RECORD_ANSWERS") == "1"
# Most items of a list, and most lines of a text: the document shows shapes, not shops.
_MOST = 2
# The preview that stands for all.
_PREVIEW = "preview_cancel_order"


class Records:
    """The answers of one run of the examples: of each operation and media type the longest."""

    def __init__(self) -> None:
        self._answers: dict[str, Any] = {}

    def add(self, operation: Operation, answer: Any) -> None:
        """Keep ``answer``, a response of the test client, if it is a success."""
        if answer.status_code >= 300:
            return
        media_type = answer["Content-Type"].partition(";")[0]
        text = answer.content.decode().replace("http://testserver", SITE)
        is_json = media_type == "application/json"
        body = _whole(json.loads(text)) if is_json else _first_lines(text)
        if operation.name == _PREVIEW:
            self._answers["preview"] = body
        elif not operation.is_preview:
            bodies = self._answers.setdefault(operation.name, {})
            kind = f"{answer.status_code} {media_type}"
            bodies[kind] = max(bodies.get(kind, ""), body, key=lambda each: len(json.dumps(each)))

    def write(self) -> None:
        """Replace the file by the answers of this run."""
        text = json.dumps(self._answers, indent=1, ensure_ascii=False, sort_keys=True)
        PATH.write_text(f"{text}\n")


def _whole(value: Any) -> Any:
    """Return ``value`` with few rows, and as in a shop in which no event is parked."""
    match value:
        case dict():
            gaps: dict[str, Any] = {"projection_gap": None, "projection_gaps": 0}
            parts = {name: _whole(part) for name, part in value.items()}
            if parts.get("count"):
                gaps |= {"count": len(parts["results"]), "next": None, "next_cursor": None}
            return {name: gaps.get(name, part) for name, part in parts.items()}
        case list():
            rows = [part for part in value if not (isinstance(part, dict) and _lacks_events(part))]
            return [_whole(part) for part in rows[:_MOST]]
        case _:
            return value


def _lacks_events(row: dict[str, Any]) -> bool:
    return row.get("projection_gap") is not None


def _first_lines(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[: _MOST + 1])
