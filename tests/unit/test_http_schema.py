"""The OpenAPI document and its pages."""

from typing import Any

import pytest
from django.test import Client
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.validation import validate_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.answers import pages
from config.http.openapi.schema import with_shared_parts
from config.http.openapi.schema_views import DocsView, SchemaView, docs_file
from config.http.views import ApiView
from tests.kit_openapi import inlined
from tests.unit.test_http_views import Thing


class Storey(ApiView):
    """A floor of a house."""

    needed_permissions = {"GET": "things.view_thing", "POST": "things.add_thing"}

    @extend_schema(operation_id="storey_read", responses=Thing)
    def get(self, request: Request, number: int) -> Response:
        return Response()

    @extend_schema(operation_id="storey_fill", request=Thing, responses={201: Thing, 409: None})
    def post(self, request: Request, number: int) -> Response:
        return Response()


class Root(ApiView):
    """The root of the API."""

    public = True

    @extend_schema(operation_id="root", responses={200: dict[str, str]})
    def get(self, request: Request) -> Response:
        return Response()


urlpatterns = [
    path("api/v1/storeys/<int:number>", Storey.as_view()),
    path("api/v1", Root.as_view()),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view()),
    path("api/docs/<str:name>", docs_file, name="docs-file"),
]
handler400 = pages.bad_request

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def document() -> Any:
    response = Client().get("/api/schema")
    assert response["Content-Type"] == "application/json"
    return inlined(response.json())


def test_the_document_is_valid(document: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert document["openapi"].startswith("3.1")
    validate_schema(Client().get("/api/schema").json())
    assert set(document["paths"]) == {"/api/v1", "/api/v1/storeys/{number}"}
    # The generator prints its warnings.
    SchemaGenerator().get_schema(public=True)
    assert capsys.readouterr().err == ""


def test_every_operation_lists_its_problems(document: Any) -> None:
    storey = document["paths"]["/api/v1/storeys/{number}"]
    get, post = storey["get"], storey["post"]
    common = {"400", "401", "403", "404", "406", "414", "429", "431", "503"}
    assert set(get["responses"]) == {"200"} | common
    assert set(post["responses"]) == {"201", "409", "413", "415", "422"} | common
    problem = {"$ref": "#/components/schemas/Problem"}
    for status, response in post["responses"].items():
        assert "Request-Id" in response["headers"]
        if status >= "400":
            [(media_type, content)] = response["content"].items()
            assert (media_type, content["schema"]) == ("application/problem+json", problem)
            assert response["description"]
    root = document["paths"]["/api/v1"]["get"]
    assert not {"401", "403", "404"} & set(root["responses"])


def test_a_header_is_described_once(document: Any) -> None:
    shared = document["components"]["headers"]
    assert shared["Request-Id"]["schema"] == {"type": "string"}
    for described in document["paths"].values():
        for operation in described.values():
            for response in operation["responses"].values():
                for name, header in response["headers"].items():
                    assert header == {"$ref": f"#/components/headers/{name}"}
                    assert name in shared


def test_different_parts_of_one_name_are_kept_apart() -> None:
    def operation(description: str) -> dict[str, Any]:
        header = {"Link": {"description": description}}
        return {
            "parameters": [{"name": "page", "description": description}],
            "responses": {"200": {"headers": dict(header)}, "404": {"headers": dict(header)}},
        }

    paths = {"/": {"get": operation("a"), "post": operation("b"), "put": operation("a")}}
    document = with_shared_parts({"paths": paths, "components": {}})

    components = document["components"]
    assert components["headers"] == {"Link": {"description": "a"}, "Link-2": {"description": "b"}}
    assert list(components["parameters"]) == ["page", "page-2"]
    assert list(components["responses"]) == ["404", "404-2"]
    for method, suffix in (("get", ""), ("post", "-2"), ("put", "")):
        described = document["paths"]["/"][method]
        link = {"$ref": f"#/components/headers/Link{suffix}"}
        assert described["parameters"] == [{"$ref": f"#/components/parameters/page{suffix}"}]
        assert described["responses"]["200"] == {"headers": {"Link": link}}
        assert described["responses"]["404"] == {"$ref": f"#/components/responses/404{suffix}"}
        assert components["responses"][f"404{suffix}"] == {"headers": {"Link": link}}


def test_every_operation_says_how_to_log_in(document: Any) -> None:
    paths = document["paths"]
    assert paths["/api/v1/storeys/{number}"]["get"]["security"] == [{"token": []}, {"session": []}]
    assert paths["/api/v1"]["get"]["security"] == [{}]
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}


def test_bodies_are_json_only(document: Any) -> None:
    body = document["paths"]["/api/v1/storeys/{number}"]["post"]["requestBody"]
    assert list(body["content"]) == ["application/json"]


def test_the_docs_page_loads_our_own_files_only() -> None:
    page = Client().get("/api/docs").content.decode()
    assert "<style" not in page
    assert "<script>" not in page
    assert "//" not in page.replace("</", "").replace("/>", "")
    assert 'data-document="/api/schema"' in page
    assert "csrf" not in page


def test_parameters_of_the_library_are_refused(subtests: pytest.Subtests) -> None:
    for query in ["version=%0d%0aSet-Cookie:x", "lang=../../x", "lang=xx", "version=1", "x"]:
        with subtests.test(query=query):
            for address in ("/api/schema", "/api/docs"):
                response = Client().get(f"{address}?{query}=")
                assert response.status_code == 400
                assert response.json()["code"] == "unknown_parameter"
