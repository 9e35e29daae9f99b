"""Answers as JSON for programs and as pages with forms for people."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from pydantic import BaseModel
from rest_framework import renderers
from rest_framework.request import Request, override_method
from uuid_utils.compat import uuid7

from config.http.answers.encoding import JSONEncoder, Members, encode
from config.http.input import parsers

if TYPE_CHECKING:
    # DRF imports this module while it makes the class APIView.
    from rest_framework.views import APIView

    from config.http.views import ActionLink, ApiView


class JSONRenderer(renderers.JSONRenderer):
    """DRF's renderer, with our encoding of money, times and pydantic models."""

    encoder_class = JSONEncoder

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        context = renderer_context or {}
        indent = self.get_indent(accepted_media_type or "", context)
        if indent is None and isinstance(data, BaseModel | Members):
            return encode(data)
        content: bytes = super().render(data, accepted_media_type, context)
        return content


@dataclass(frozen=True, kw_only=True)
class CommandForm:
    """A form that sends one command; ``text`` is the JSON that its text area starts with."""

    link: "ActionLink"
    text: str
    problem: Mapping[str, Any] | None
    idempotency_key: str
    if_match: str
    has_dry_run: bool

    @property
    def rows(self) -> int:
        return min(self.text.count("\n") + 2, 30)


class BrowsableRenderer(renderers.BrowsableAPIRenderer):
    """DRF's browsable page, without scripts, with a form for each command that the user may send.

    The forms start with the examples of ``ApiView.command_examples``. After a refusal the form
    shows the typed text and the problem.
    """

    template = "http/api.html"

    def get_default_renderer(self, view: "APIView") -> JSONRenderer:
        return JSONRenderer()

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Any
    ) -> dict[str, Any]:
        view, request = renderer_context["view"], renderer_context["request"]
        response = renderer_context["response"]
        return super().get_context(data, accepted_media_type, renderer_context) | {
            # DRF would put the style of highlighted code into the page, as an inline style.
            "code_style": "",
            "command_forms": self._command_forms(
                view,
                request,
                problem=data if response.exception else None,
                etag=response.get("ETag", ""),
            ),
            "links": _allowed_links(view, request, "GET"),
            "page": data if isinstance(data, Mapping) and "results" in data else {},
            "login_url": settings.LOGIN_URL,
        }

    def get_breadcrumbs(self, request: Request) -> list[tuple[str, str]]:
        # DRF lists an address twice: with and without its trailing slash.
        crumbs = super().get_breadcrumbs(request)
        return list({url.rstrip("/"): (name, url.rstrip("/")) for name, url in crumbs}.values())

    # ``_command_forms`` takes the place of DRF's own forms.
    def get_rendered_html_form(self, *args: Any) -> None:
        return None

    def get_raw_data_form(self, *args: Any) -> None:
        return None

    def get_filter_form(self, *args: Any) -> None:
        return None

    def _command_forms(
        self,
        view: "ApiView",
        request: Request,
        *,
        problem: Mapping[str, Any] | None,
        etag: str,
    ) -> list[CommandForm]:
        """Return the forms for this address and for the actions below it.

        ``etag`` is the ETag of the resource on the page: the forms send it as If-Match.
        """
        if problem and problem["status"] == 404 and request.method != "POST":
            return []
        links = _allowed_links(view, request, "POST")
        post_link = view.post_link() if self._allows_post(view, request) else None
        if post_link:
            links.insert(0, post_link)
        if not links:
            return []
        examples = view.command_examples(request)
        refusal = problem if request.method == "POST" else None
        typed_text = parsers.typed_text(request) if refusal else ""
        forms = []
        for link in links:
            is_own = link is post_link
            example = examples.get(link.action, examples.get("POST", {}) if is_own else {})
            form = CommandForm(
                link=link,
                text=(typed_text if is_own else "") or _as_json(example),
                problem=refusal if is_own else None,
                idempotency_key=uuid7().hex,
                if_match=etag if etag.startswith('"') else "",
                has_dry_run=view.dry_run_body is not None,
            )
            forms.append(form)
        return forms

    def _allows_post(self, view: "ApiView", request: Request) -> bool:
        with override_method(view, request, "POST") as post_request:
            return bool(self.show_form_for_method(view, "POST", post_request, None))


def _allowed_links(view: "ApiView", request: Request, method: str) -> list["ActionLink"]:
    links = view.action_links(method)
    return [link for link in links if view.allows(request.user, link.action)]


def _as_json(example: Any) -> str:
    return json.dumps(example, cls=JSONEncoder, indent=2, ensure_ascii=False)
