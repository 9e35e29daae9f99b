"""The middleware that records requests as spans."""

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware


class TraceMiddleware(_DjangoMiddleware):
    """Leaves requests for the name of another host to the middleware that refuses them.

    OpenTelemetry's middleware would raise an error outside of ours, whose headers the answer needs.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            request.get_host()
        except DisallowedHost:
            answer: HttpResponseBase = self.get_response(request)
            return answer
        traced: HttpResponseBase = super().__call__(request)
        return traced
