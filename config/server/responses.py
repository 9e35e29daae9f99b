"""Responses: Django's, and the problems of requests that never reach Django."""

import json
from typing import Any
from uuid import uuid4

from waitress import task

# The problem that answers each status of waitress.
_SLUGS = {
    400: "malformed",
    408: "request-timeout",
    413: "too-large",
    414: "uri-too-long",
    431: "headers-too-large",
}


class Task(task.WSGITask):
    """Answers one request by Django."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ["SERVER_SOFTWARE"] = ""
        if self._is_head:
            # Waitress sends a wrapped file without a look at the method.
            environ.pop("wsgi.file_wrapper", None)
        return environ

    def build_response_header(self) -> bytes:
        if self.channel.server.is_leaving:
            # The client's next request goes to another worker.
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        super().write(b"" if self._is_head else data)

    def finish(self) -> None:
        if not self.wrote_header:
            self.write(b"")
        if self._is_head:
            # Without the mark that ends a body in chunks.
            self.chunked_response = False
        super().finish()

    @property
    def _is_head(self) -> bool:
        return bool(self.request.command == "HEAD")


class ErrorTask(task.ErrorTask):
    """Answers a request that can't be read with a problem, and closes the connection."""

    def execute(self) -> None:
        # Imported when Django is set up: gunicorn loads this module before.
        from config.http.answers import problems

        error = self.request.error
        problem = problems.by_slug(_SLUGS.get(error.code, "")) or problems.INTERNAL
        content = {
            "type": f"/problems/{problem.slug}",
            "title": problem.title,
            "status": problem.status,
            "detail": error.body if problem is not problems.INTERNAL else problem.meaning,
            "instance": "/",
            "code": problem.code,
            "request_id": uuid4().hex,
        }
        body = json.dumps(content).encode()
        self.status = f"{problem.status} {problem.title}"
        self.response_headers += [
            ("Content-Type", problems.CONTENT_TYPE),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
