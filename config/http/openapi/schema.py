"""What every operation of the OpenAPI document has in common."""

from itertools import chain, count
from typing import TYPE_CHECKING, Any, cast

from drf_spectacular import openapi
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel
from rest_framework.permissions import SAFE_METHODS

from config.http.answers.problems import CONTENT_TYPE
from config.http.openapi.problem_schema import DESCRIPTIONS, problem_schema

if TYPE_CHECKING:
    # DRF imports this module while it makes the class APIView.
    from config.http.views import ApiView

_RATE_LIMITS = [
    OpenApiParameter(
        "RateLimit-Policy",
        {"type": "string", "examples": ['"reads";q=5000;w=10']},
        "header",
        description="What you may send: `q` requests of a kind in `w` seconds.",
        response=True,
    ),
    OpenApiParameter(
        "RateLimit",
        {"type": "string", "examples": ['"reads";r=4999;t=10']},
        "header",
        description="What is left of it: `r` requests, and `t` seconds until it is all there.",
        response=True,
    ),
]


def without_trailing_slash(endpoints: list[Any], **_kwargs: Any) -> list[Any]:
    """Paths as our links write them; the routes accept a slash at the end too."""
    return [(path.rstrip("/"), *rest) for path, *rest in endpoints]


def with_shared_headers(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """The document ``result`` with each header of answers described once, under the components.

    It is one of drf-spectacular's hooks, which are called with more than that.
    """
    shared: dict[str, Any] = {}
    for described in result["paths"].values():
        for operation in described.values():
            for response in operation["responses"].values():
                headers = response.get("headers", {})
                for name, header in headers.items():
                    # Another one of the same name is known under another one.
                    names = chain([name], (f"{name}-{number}" for number in count(2)))
                    known = next(one for one in names if shared.setdefault(one, header) == header)
                    headers[name] = {"$ref": f"#/components/headers/{known}"}
    result["components"]["headers"] = dict(sorted(shared.items()))
    return result


class Schema(openapi.AutoSchema):
    """Adds to every operation the problems that it can answer with and the header Request-Id.

    A view declares its own refusals by status alone: ``responses={201: Placed, 409: None}``; the
    rest is declared by the attributes of ``ApiView``.
    """

    @property
    def _api_view(self) -> "ApiView":
        return cast("ApiView", self.view)

    def get_override_parameters(self) -> list[Any]:
        about = "Your id of this request, or ours; it stands in problems and logs."
        return [
            OpenApiParameter("Request-Id", str, "header", description=about),
            OpenApiParameter("Request-Id", str, "header", description=about, response=True),
            OpenApiParameter(
                "Retry-After",
                {"type": "integer", "minimum": 0},
                "header",
                description="After so many seconds the same request may succeed.",
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
            *self._api_view.documented_headers(self.method),
        ]

    def map_parsers(self) -> list[Any]:
        # Forms are for the browsable pages only.
        return ["application/json"]

    def _is_list_view(self, serializer: Any = None) -> bool:
        # What an answer holds is as declared; a list is in an object, too.
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
        responses = operation["responses"]
        refusals = self._statuses() | {status for status in responses if status >= "400"}
        for status in refusals:
            declared = responses.get(status, {})
            responses[status] = declared | {
                "description": DESCRIPTIONS[status],
                "headers": self._get_response_headers_for_code(status),
                "content": {CONTENT_TYPE: {"schema": problem.ref}},
            }
        if any(one.name == "If-None-Match" for one in self.get_override_parameters()):
            responses["304"] = {
                "description": "What you have is still so",
                "headers": self._get_response_headers_for_code("304"),
            }
        dry_run_body = self._api_view.dry_run_body
        if self.method not in SAFE_METHODS and dry_run_body:
            self._add_dry_run(responses, dry_run_body)
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def _add_dry_run(self, responses: dict[str, Any], body: type[BaseModel]) -> None:
        preview = self._get_response_for_code(body, "200")
        if "200" not in responses:
            responses["200"] = preview | {"description": "What a dry run tells"}
            return
        for media_type, content in responses["200"]["content"].items():
            either = [content["schema"], preview["content"][media_type]["schema"]]
            content["schema"] = {"anyOf": either}

    def _statuses(self) -> set[str]:
        statuses = {"400", "406", "429", "503"}
        if not self._api_view.public:
            statuses |= {"401", "403"}
        if "{" in self.path:
            statuses |= {"404"}
        if self.method not in SAFE_METHODS:
            statuses |= {"413", "415", "422"} | self._api_view.command_statuses
        return statuses


class TokenScheme(OpenApiAuthenticationExtension):
    """How the document describes our tokens."""

    target_class = "config.http.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token` and a space before the token itself.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """How the document describes a browser's login."""

    target_class = "config.http.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
