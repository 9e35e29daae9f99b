"""Answers as JSON for programs and as pages with forms for people."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.urls import NoReverseMatch
from rest_framework import renderers
from rest_framework.request import Request, override_method
from uuid_utils.compat import uuid7

from config.http.answers.encoding import JSONEncoder
from config.http.input import parsers
from config.http.permissions import asked_action, may

if TYPE_CHECKING:
    # DRF imports this module while it makes the class.
    from rest_framework.views import APIView


class JSONRenderer(renderers.JSONRenderer):
    """DRF's, with the house's way of writing money, times and pydantic models."""

    encoder_class = JSONEncoder


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that can be asked for at an address: its action and what to call it."""

    action: str
    title: str
    address: str


@dataclass(frozen=True, kw_only=True)
class CommandForm:
    """A form that sends one command, with the JSON that stands in it at first."""

    target: Target
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

    The forms show what ``view.command_examples(request)`` returns, if the view has it: JSON
    examples by the name of an action, or under "POST" for this address itself. After a refusal the
    form shows what was typed, and why it was refused.
    """

    template = "http/api.html"

    def get_default_renderer(self, view: "APIView") -> JSONRenderer:
        return JSONRenderer()

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Any
    ) -> dict[str, Any]:
        view, request = renderer_context["view"], renderer_context["request"]
        problem = data if renderer_context["response"].exception else None
        return super().get_context(data, accepted_media_type, renderer_context) | {
            # DRF would put it into the page as an inline style.
            "code_style": "",
            "command_forms": self.command_forms(
                view, request, problem, tag=renderer_context["response"].get("ETag", "")
            ),
            "links": [t for t in _extra_actions(view, "GET") if may(request.user, view, t.action)],
            "page": data if isinstance(data, Mapping) and "results" in data else {},
            "login_url": settings.LOGIN_URL,
        }

    def get_breadcrumbs(self, request: Request) -> list[tuple[str, str]]:
        # DRF finds an address with and without its trailing slash.
        crumbs = super().get_breadcrumbs(request)
        return list({url.rstrip("/"): (name, url.rstrip("/")) for name, url in crumbs}.values())

    # What DRF would show in place of ``command_forms``.
    def get_rendered_html_form(self, *args: Any) -> None:
        return None

    def get_raw_data_form(self, *args: Any) -> None:
        return None

    def get_filter_form(self, *args: Any) -> None:
        return None

    def command_forms(
        self,
        view: "APIView",
        request: Request,
        problem: Mapping[str, Any] | None,
        *,
        tag: str = "",
    ) -> list[CommandForm]:
        """The forms for this address and for the extra actions below it.

        ``tag`` is the ETag of what the page shows: the commands are about this and nothing newer.
        """
        if problem and problem["status"] == 404 and request.method != "POST":
            return []
        targets = [t for t in _extra_actions(view, "POST") if may(request.user, view, t.action)]
        here = self._here(view, request)
        if here:
            targets.insert(0, here)
        if not targets:
            return []
        examples = view.command_examples(request) if hasattr(view, "command_examples") else {}
        refused = problem if request.method == "POST" else None
        typed = parsers.typed_text(request) if refused else ""
        return [
            CommandForm(
                target=target,
                text=(typed if target is here else "")
                or _example(examples, target.action, *(["POST"] if target is here else [])),
                problem=refused if target is here else None,
                idempotency_key=uuid7().hex,
                if_match=tag if tag.startswith('"') else "",
                has_dry_run=hasattr(view, "dry_run_body"),
            )
            for target in targets
        ]

    def _here(self, view: "APIView", request: Request) -> Target | None:
        with override_method(view, request, "POST") as post:
            if not self.show_form_for_method(view, "POST", post, None):
                return None
        action = asked_action(view, "POST")
        title = view.get_view_name() if action == "POST" else action.replace("_", " ").capitalize()
        return Target(action=action, title=title, address=request.path)


def _example(examples: Mapping[str, Any], *names: str) -> str:
    example: Any = next((examples[name] for name in names if name in examples), {})
    return json.dumps(example, cls=JSONEncoder, indent=2, ensure_ascii=False)


def _extra_actions(view: Any, method: str) -> list[Target]:
    """What can be asked for below a resource by ``method``; nothing on an action's own page."""
    own = (getattr(view, "action_map", None) or {}).values()
    if not own or any(hasattr(getattr(view, name), "mapping") for name in own):
        return []
    targets = []
    for extra in view.get_extra_actions():
        if extra.detail != view.detail or method.lower() not in extra.mapping:
            continue
        try:
            address = view.reverse_action(extra.url_name, args=view.args, kwargs=view.kwargs)
        except NoReverseMatch:
            continue
        action = extra.mapping[method.lower()]
        targets.append(Target(action=action, title=extra.kwargs["name"], address=address))
    return targets
