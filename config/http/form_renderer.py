"""The renderer of forms, which writes their parts as HTML without templates."""

from collections.abc import Mapping
from html import escape
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.forms.utils import ErrorList
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString


class FormRenderer(DjangoTemplates):
    """Writes inputs, selects, labels and lists of errors without a template.

    The form of an order with 200 lines has 400 of each, and the filters of the orders have more
    than a hundred options. A template takes ten times as long.
    """

    def render(
        self, template_name: str, context: dict[str, Any], request: Any = None
    ) -> SafeString:
        match template_name.removeprefix("django/forms/"):
            case (
                "widgets/number.html"
                | "widgets/text.html"
                | "widgets/hidden.html"
                | "widgets/date.html"
            ):
                return _input(context["widget"])
            case "widgets/select.html":
                return _select(context["widget"])
            case "label.html" if context["use_tag"]:
                return _label(context)
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


def _label(context: Mapping[str, Any]) -> SafeString:
    tag, text = context["tag"], conditional_escape(context["label"])
    return SafeString(f"<{tag}{_attributes(context['attrs'])}>{text}</{tag}>")


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
