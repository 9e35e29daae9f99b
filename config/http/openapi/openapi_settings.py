"""The settings of drf-spectacular, which makes the OpenAPI document."""

from pathlib import Path
from typing import Any

from config.version import VERSION

# The recorded answers: tests/kit_answers.py writes the file.
_ANSWERS = Path(__file__).parents[2] / "answers.json"


def spectacular(public_url: str, contact_email: str) -> dict[str, Any]:
    """Return the value of SPECTACULAR_SETTINGS. The arguments may be empty."""
    contact = {"name": "The team of this service"}
    servers = [{"url": "/", "description": "The service that this document comes from"}]
    if contact_email:
        contact["email"] = contact_email
    if public_url:
        contact["url"] = public_url
        servers.append({"url": public_url, "description": "The service at its public address"})
    return {
        "TITLE": "Order service",
        "DESCRIPTION": (Path(__file__).parents[1] / "about.md").read_text(),
        "VERSION": VERSION,
        "CONTACT": contact,
        "LICENSE": {"name": "Proprietary", "identifier": "LicenseRef-Proprietary"},
        "SERVERS": servers,
        "OAS_VERSION": "3.1.0",
        "SCHEMA_PATH_PREFIX": r"/api/v1",
        "COMPONENT_SPLIT_REQUEST": True,
        "DEFAULT_GENERATOR_CLASS": "config.http.openapi.generator.Generator",
        "PREPROCESSING_HOOKS": ["config.http.openapi.schema.without_trailing_slash"],
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",
            "config.http.openapi.defaults.with_plain_defaults",
            "config.http.openapi.schema_examples.with_examples",
            "config.http.openapi.schema.with_shared_parts",
            "config.http.openapi.previews.with_previews",
        ],
        # Read by ``with_examples``, not by the library.
        "ANSWERS": _ANSWERS,
    }
