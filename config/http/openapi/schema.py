"""The parts of the OpenAPI document that all operations share: problems, headers, logins."""

from itertools import chain, count
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from drf_spectacular import openapi
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework.permissions import SAFE_METHODS

from config.http.answers.problems import CONTENT_TYPE
from config.http.input.negotiation import FORMAT
from config.http.openapi.previews import MARK
from config.http.openapi.problem_schema import DESCRIPTIONS, problem_schema

if TYPE_CHECKING:
    # DRF imports this module while it makes the class APIView.
    from config.http.views import ApiView

_RATE_LIMITS = [
    OpenApiParameter(
        "RateLimit-Policy",
        {"type": "string", "examples": ['"reads";q=5000;w=10']},
        "header",
        description="Your limit: `q` requests of this policy in `w` seconds.",
        response=True,
    ),
    OpenApiParameter(
        "RateLimit",
        {"type": "string", "examples": ['"reads";r=4999;t=10']},
        "header",
        description="The rest of the limit: `r` requests; all are available again in `t` seconds.",
        response=True,
    ),
]


def description_of(name: str) -> str:
    """Return the description of the path parameter ``name``, an id: ``line_id``."""
    return f"The id of the {name.removesuffix('_id').replace('_', ' ')}."


def without_trailing_slash(endpoints: list[Any], **_kwargs: Any) -> list[Any]:
    """Return the endpoints without the optional slash at the end, as our links write paths."""
    return [(path.rstrip("/"), *rest) for path, *rest in endpoints]


def with_shared_parts(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Return the document ``result``, with each header, parameter and refusal described once.

    A hook of drf-spectacular, which passes more arguments.
    """
    headers, parameters = _Components("headers"), _Components("parameters")
    responses = _Components("responses")
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["parameters"] = [
                parameters.reference(parameter["name"], parameter)
                for parameter in operation["parameters"]
            ]
            for status, response in operation["responses"].items():
                response["headers"] = {
                    name: headers.reference(name, header)
                    for name, header in response.get("headers", {}).items()
                }
                if status >= "300":
                    operation["responses"][status] = responses.reference(status, response)
    for components in (headers, parameters, responses):
        result["components"][components.name] = dict(sorted(components.parts.items()))
    return result


class _Components:
    """The parts of one sort that the document describes once, by their keys."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts: dict[str, Any] = {}

    def reference(self, name: str, part: dict[str, Any]) -> dict[str, str]:
        """Return a reference to ``part``; a second part of the same name gets a number."""
        keys = chain([name], (f"{name}-{number}" for number in count(2)))
        key = next(key for key in keys if self.parts.setdefault(key, part) == part)
        return {"$ref": f"#/components/{self.name}/{key}"}


class Schema(openapi.AutoSchema):
    """Adds the possible problems and the shared headers to every operation.

    A view declares its own refusals by status alone, ``responses={201: Placed, 409: None}``. The
    attributes of ``ApiView`` declare the other statuses.
    """

    @property
    def _api_view(self) -> "ApiView":
        return cast("ApiView", self.view)

    def get_override_parameters(self) -> list[Any]:
        description = "Id of this request, yours or else ours; problems and logs contain it."
        return [
            OpenApiParameter("Request-Id", str, "header", description=description),
            OpenApiParameter("Request-Id", str, "header", description=description, response=True),
            OpenApiParameter(
                "Retry-After",
                {"type": "integer", "minimum": 0},
                "header",
                description="Seconds after which the same request may succeed.",
                response=[409, 429, 503],
            ),
            OpenApiParameter(
                "WWW-Authenticate",
                str,
                "header",
                description="How to log in.",
                response=[401],
            ),
            *_RATE_LIMITS,
            *self._ids(),
            *self._api_view.documented_headers(self.method),
        ]

    def _ids(self) -> list[OpenApiParameter]:
        """Return the parameter of the resource that the path names, if any."""
        name = self._api_view.id_name
        if f"{{{name}}}" not in self.path:
            return []
        return [OpenApiParameter(name, OpenApiTypes.UUID, "path", description=description_of(name))]

    def get_examples(self) -> list[OpenApiExample]:
        return self._api_view.documented_examples(self.method)

    def map_parsers(self) -> list[Any]:
        # Only the browsable pages send forms.
        return ["application/json"]

    def _is_list_view(self, serializer: Any = None) -> bool:
        # Every body is an object, even that of a list: see ``page_body``.
        return False

    def get_auth(self) -> list[dict[str, Any]]:
        return [{}] if self._api_view.public else super().get_auth()

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        problem = ResolvedComponent(
            name="Problem", type=ResolvedComponent.SCHEMA, object="Problem", schema=problem_schema()
        )
        self.registry.register_on_missing(problem)
        for parameter in operation["parameters"]:
            if parameter["name"] == FORMAT:
                parameter["description"] = "The format of the answer, in place of `Accept`."
        responses = operation["responses"]
        refusals = self._statuses() | {status for status in responses if status >= "400"}
        for status in refusals:
            declared = responses.get(status, {})
            responses[status] = declared | {
                "description": DESCRIPTIONS[status],
                "headers": self._get_response_headers_for_code(status),
                "content": {CONTENT_TYPE: {"schema": problem.ref}},
            }
        if any(header.name == "If-None-Match" for header in self.get_override_parameters()):
            responses["304"] = {
                "description": "Your copy is still current",
                "headers": self._get_response_headers_for_code("304"),
            }
        dry_run_body: Any = self._api_view.dry_run_body
        if self.method not in SAFE_METHODS and dry_run_body:
            self.resolve_serializer(dry_run_body, "response")
            operation[MARK] = True
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def _statuses(self) -> set[str]:
        statuses = {"400", "406", "414", "429", "431", "503"}
        if not self._api_view.public:
            statuses |= {"401", "403"}
        if "{" in self.path:
            statuses |= {"404"}
        if self.method not in SAFE_METHODS:
            statuses |= {"413", "415", "422"} | self._api_view.command_statuses
        return statuses


class TokenScheme(OpenApiAuthenticationExtension):
    """Describes the login by token."""

    target_class = "config.accounts.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token` and a space before the token itself.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """Describes the login of a browser."""

    target_class = "config.http.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
