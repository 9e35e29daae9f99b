"""The pages of the OpenAPI document.

They aren't in ``schema``, because DRF loads that module before any view exists.
"""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular import renderers
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.headers import DOCS_CONTENT_SECURITY_POLICY
from config.http.input.query import Parameters, parse_query
from config.http.openapi.document import PAGE_FILES, openapi_document, page_file
from config.http.views import ApiView

# Seconds for which caches keep the document, and the files of its page.
_DOCUMENT_MAX_AGE = 300
_FILE_MAX_AGE = 24 * 3600


class SchemaView(ApiView):
    """``/api/schema``: the OpenAPI document, as JSON or YAML."""

    public = True
    renderer_classes = [
        renderers.OpenApiJsonRenderer2,
        renderers.OpenApiJsonRenderer,
        renderers.OpenApiYamlRenderer,
        renderers.OpenApiYamlRenderer2,
    ]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        parse_query(request, Parameters)
        renderer: Any = request.accepted_renderer
        charset = f"; charset={renderer.charset}" if renderer.charset else ""
        response = openapi_document(renderer.format).answer(
            request, content_type=f"{renderer.media_type}{charset}", max_age=_DOCUMENT_MAX_AGE
        )
        response["Content-Disposition"] = f'inline; filename="openapi.{renderer.format}"'
        return response


class DocsView(ApiView):
    """``/api/docs``: Swagger UI, from our own files."""

    public = True
    renderer_classes = [TemplateHTMLRenderer]
    # Without OPTIONS: DRF's answer to OPTIONS can't be rendered with this view's template.
    http_method_names = ["get", "head"]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        parse_query(request, Parameters)
        headers = {"Content-Security-Policy": DOCS_CONTENT_SECURITY_POLICY}
        return Response(template_name="http/docs.html", headers=headers)


@require_safe
def docs_file(request: HttpRequest, name: str) -> HttpResponse:
    """``/api/docs/{name}``: a file of Swagger UI, compressed."""
    if name not in PAGE_FILES:
        raise Http404
    return page_file(name).answer(request, content_type=PAGE_FILES[name], max_age=_FILE_MAX_AGE)
