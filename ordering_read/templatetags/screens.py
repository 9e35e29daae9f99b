"""Template tags of the pages for people."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Any, NamedTuple

from django import template
from django.contrib.admin.views.main import PAGE_VAR
from django.forms import BoundField
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timesince import timesince

from config.http.admin import list_url
from ordering_read.admin.base import grouped
from ordering_read.admin.codes import country_name, destination
from ordering_read.queries.order_facts import words
from ordering_read.screens import navigation
from ordering_read.screens.exports import choices

register = template.Library()
register.filter("grouped", grouped)
register.filter("country_name", country_name)
register.filter("words", words)
register.filter("destination", destination)


@register.filter
def number_cells(numbers: Sequence[object]) -> SafeString:
    """Return table cells with the numbers, without a template's work for each."""
    return SafeString(
        "".join(f'<td class="number">{escape(grouped(number))}</td>' for number in numbers)
    )


class Step(NamedTuple):
    """A step of the breadcrumbs; ``url`` is "" for a text."""

    label: str
    url: str = ""


@register.filter
def age(moment: datetime) -> str:
    """Return the time since ``moment`` in its largest unit: ``3 weeks``."""
    return timesince(moment, depth=1)


@register.filter
def focused(field: BoundField) -> str:
    """Return the input of a form's field; the page begins there."""
    return str(field.as_widget(attrs={"autofocus": True}))


@register.simple_tag
def list_label(opts: Any) -> str:
    """Return the name of a list, as the navigation calls it; ``opts`` are those of its model."""
    return navigation.place_of(opts.object_name)[1] or capfirst(str(opts.verbose_name_plural))


@register.inclusion_tag("admin/trail.html")
def trail(
    opts: Any = None, *, record: object = None, record_url: str = "", page: str = ""
) -> dict[str, Sequence[Step]]:
    """Return the breadcrumbs after "Today": section, list, record and page.

    ``opts`` are the options of the list's model; without them the page belongs to no list.
    """
    steps = []
    if opts:
        section, label = navigation.place_of(opts.object_name)[0], list_label(opts)
        if section != label:
            steps.append(Step(section))
        is_last = not (record or page)
        steps.append(Step(label, "" if is_last else list_url(opts.model)))
    if record:
        steps.append(Step(str(record), record_url))
    if page:
        steps.append(Step(page))
    return {"steps": steps}


@register.simple_tag(takes_context=True)
def sections(context: dict[str, Any]) -> Iterator[navigation.Section]:
    """Return the sections of the navigation that the user of the page may see."""
    return navigation.sections(context["request"], context.get("available_apps", ()))


@register.simple_tag(takes_context=True)
def missing_changes(context: dict[str, Any]) -> str:
    """Return what the page doesn't show yet, in sentences for its one banner; "" for nothing.

    The gaps of the page's own rows say more than the warnings of the whole site.
    """
    sentences = [
        f"Your last change was accepted, but this page doesn't show it yet, because {item.because}."
        for item in context["request"].unseen[:1]
    ]
    changelist = context.get("cl")
    if changelist and (gap := getattr(changelist, "projection_gap", None)):
        sentences.append(gap.detail)
    else:
        sentences += context.get("projection_gaps") or context["projection_warnings"]()
    return " ".join(sentences)


@register.inclusion_tag("screens/export_form.html", takes_context=True)
def export_form(context: dict[str, Any], changelist: Any) -> dict[str, Any]:
    """Return the form that exports the rows of a list, if the user may export them."""
    return {
        "choices": choices(changelist.model, context["request"]),
        "query": _query_of(context["request"]),
        "csrf_token": context["csrf_token"],
    }


def _query_of(request: HttpRequest) -> str:
    """Return the filters and the ordering of a list, without its page.

    ``get_query_string(remove=["p"])`` would remove every parameter that begins with "p".
    """
    query = request.GET.copy()
    query.pop(PAGE_VAR, None)
    return query.urlencode()
