"""The pages of the OpenAPI document.

They aren't in ``schema``, because DRF loads that module before any view exists.
"""

from typing import Any

from django.http import HttpResponse
from drf_spectacular import renderers
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

from config.http.input.query import Parameters, parse_query


class SchemaView(SpectacularAPIView):
    """``/api/schema``: the OpenAPI document, as JSON or YAML."""

    renderer_classes = [
        renderers.OpenApiJsonRenderer2,
        renderers.OpenApiJsonRenderer,
        renderers.OpenApiYamlRenderer,
        renderers.OpenApiYamlRenderer2,
    ]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        # The base view copies parameters into headers and language caches, unchecked.
        parse_query(request, Parameters)
        return super().get(request, *args, **kwargs)


class DocsParameters(Parameters):
    """``?script=`` asks for the page's script."""

    script: str | None = None


class DocsView(SpectacularSwaggerSplitView):
    """``/api/docs``: Swagger UI from our own files, with the script at an address of its own."""

    url_name = "schema"
    # Without OPTIONS: DRF's answer to OPTIONS can't be rendered with this view's template.
    http_method_names = ["get", "head"]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        parse_query(request, DocsParameters)
        return super().get(request, *args, **kwargs)
