"""The fields and inputs of command forms, and how they become HTML."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from django import forms
from django.forms.renderers import DjangoTemplates
from django.forms.utils import ErrorList
from django.utils.safestring import SafeString

Choices = Sequence[tuple[str, str]]


class SuggestingInput(forms.TextInput):
    """A text input with suggestions, which the browser filters without a script.

    Inputs with the same ``list_id`` share the list, which the input ``with_list`` writes.
    """

    template_name = "admin/ordering_read/suggesting_input.html"

    def __init__(self, suggestions: Choices, *, list_id: str, with_list: bool) -> None:
        super().__init__(attrs={"autocomplete": "off", "list": list_id})
        self.suggestions = suggestions if with_list else ()

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        return context | {"suggestions": self.suggestions}


class CommaSeparatedField(forms.CharField):
    """Several short texts, separated by commas."""

    def to_python(self, value: Any) -> Any:
        return [part.strip() for part in (value or "").split(",") if part.strip()]


class PairsField(forms.CharField):
    """Pairs of texts, one in a line: ``key=value``, or ``key`` for a pair to remove."""

    def to_python(self, value: Any) -> Any:
        pairs: dict[str, str | None] = {}
        for line in filter(str.strip, (value or "").splitlines()):
            key, equals_sign, text = line.partition("=")
            pairs[key.strip()] = text.strip() if equals_sign else None
        return pairs


class FormRenderer(DjangoTemplates):
    """Writes inputs, selects and lists of errors without a template.

    The form of an order with 200 lines has 400 of each, and a template takes ten times as long.
    """

    def render(
        self, template_name: str, context: dict[str, Any], request: Any = None
    ) -> SafeString:
        match template_name.removeprefix("django/forms/"):
            case "widgets/number.html" | "widgets/text.html" | "widgets/hidden.html":
                return _input(context["widget"])
            case "widgets/select.html":
                return _select(context["widget"])
            case "errors/list/default.html":
                return _error_list(context["errors"], context["error_class"])
        return SafeString(super().render(template_name, context, request))


# Shared by all forms: each renderer has an engine of its own, which compiles its templates anew.
FORM_RENDERER = FormRenderer()


def _input(widget: Mapping[str, Any]) -> SafeString:
    shown = {name: widget[name] for name in ("type", "name", "value")}
    return SafeString(f"<input{_attributes({**shown, **widget['attrs']})}>")


def _select(widget: Mapping[str, Any]) -> SafeString:
    options = "".join(
        f"<option{_attributes({'value': option['value'], **option['attrs']})}>"
        f"{escape(str(option['label']))}</option>"
        for _, group, _ in widget["optgroups"]
        for option in group
    )
    attributes = _attributes({"name": widget["name"], **widget["attrs"]})
    return SafeString(f"<select{attributes}>{options}</select>")


def _error_list(errors: ErrorList, css_class: str) -> SafeString:
    if not errors:
        return SafeString("")
    field_id = getattr(errors, "field_id", None)
    identity = f"{field_id}_error" if field_id else None
    items = "".join(f"<li>{escape(str(error))}</li>" for error in errors)
    return SafeString(f"<ul{_attributes({'class': css_class, 'id': identity})}>{items}</ul>")


def _attributes(attributes: Mapping[str, Any]) -> str:
    """Return HTML attributes; leaves out None and False, and writes True as an empty text.

    Django's ``format_html`` takes ten times as long as ``escape``, which it calls for each value.
    """
    return "".join(
        f' {name}="{escape("" if value is True else str(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
