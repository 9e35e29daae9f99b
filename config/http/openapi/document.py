"""The OpenAPI document and the files of its page, each made once per process."""

import json
import threading
from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from drf_spectacular.renderers import OpenApiYamlRenderer
from rest_framework.utils.encoders import JSONEncoder

from config.http.answers.documents import Document
from config.http.openapi.generator import Generator

# The files of Swagger UI, with their media types.
PAGE_FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
_PAGE_FILES_AT = "drf_spectacular_sidecar/swagger-ui-dist"
# Making the document takes a second: requests at the same time wait for one maker.
_lock = threading.Lock()


def openapi_document(document_format: str) -> Document:
    """Return the document as "json" or "yaml"."""
    make = {"json": _json, "yaml": _yaml}[document_format]
    with _lock:
        return make(settings.ROOT_URLCONF)


def page_file(name: str) -> Document:
    """Return a file of PAGE_FILES."""
    with _lock:
        return _page_file(name)


def make_all() -> None:
    """Make the JSON document and the files of its page, before the first request asks for them."""
    openapi_document("json")
    for name in PAGE_FILES:
        page_file(name)


@cache
def _json(urlconf: str) -> Document:
    schema = Generator(urlconf=urlconf).get_schema(public=True)
    text = json.dumps(schema, cls=JSONEncoder, ensure_ascii=False, separators=(",", ":"))
    return Document.of(text.encode())


@cache
def _yaml(urlconf: str) -> Document:
    # From the text in JSON: few ask for YAML, and making the schema again takes a second.
    return Document.of(OpenApiYamlRenderer().render(json.loads(_json(urlconf).body)))


@cache
def _page_file(name: str) -> Document:
    path = finders.find(f"{_PAGE_FILES_AT}/{name}")
    if path is None:
        raise FileNotFoundError(f"{_PAGE_FILES_AT}/{name}")
    return Document.of(Path(path).read_bytes())
