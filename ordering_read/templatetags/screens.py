"""Template tags of the pages for people."""

from collections.abc import Iterator
from typing import Any

from django import template

from ordering_read.screens import navigation

register = template.Library()


@register.simple_tag(takes_context=True)
def sections(context: dict[str, Any]) -> Iterator[navigation.Section]:
    """Return the sections of the navigation that the user of the page may see."""
    return navigation.sections(context["request"], context.get("available_apps", ()))
