"""The fields and inputs of command forms."""

from collections.abc import Sequence
from typing import Any

from django import forms

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
