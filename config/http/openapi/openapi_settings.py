"""The settings of drf-spectacular, which makes the OpenAPI document."""

from pathlib import Path

SPECTACULAR_SETTINGS = {
    "TITLE": "Order service",
    "DESCRIPTION": (Path(__file__).parents[1] / "about.md").read_text(),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "PREPROCESSING_HOOKS": ["config.http.openapi.schema.without_trailing_slash"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.http.openapi.schema_examples.with_examples",
        "config.http.openapi.schema.with_shared_parts",
    ],
}
