"""Texts: visible characters, and the form in which identifiers are compared."""

from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from config.fields.pattern import Pattern
from config.fields.text import Text, identity

REQUIRED: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(max_length=40)])
OPTIONAL: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(max_length=40, min_length=0)])

# Spellings of "Lamp-1" that people can't tell apart, or type by habit.
SPELLINGS = {
    "case": "LAMP-1",
    "full width": "\uff2c\uff21\uff2d\uff30\uff0d\uff11",
    "zero width space": "La\u200bmp-1",
    "zero width joiner": "La\u200dmp-1",
    "soft hyphen": "La\u00admp-1",
    "right-to-left mark": "Lamp-1\u200f",
    "byte order mark": "\ufeffLamp-1",
    "grapheme joiner": "La\u034fmp-1",
    "variation selector": "Lamp-1\ufe0f",
    "filler": "Lamp\u3164-1",
    "en dash": "Lamp\u20131",
    "minus": "Lamp\u22121",
    "non-breaking hyphen": "Lamp\u20111",
    "spaces around": " \u00a0Lamp-1 ",
    "mathematical letters": "\U0001d40bamp-1",
}
INVISIBLE = (
    *("\u200b", "\u00ad", "\ufeff", "\u200d\u200d", "\u2060", "\u034f", "\u3164", "\u115f"),
    *("\u2800", "\ufe0f", "\u0301", " \u200f ", "\U000e0041"),
)


def test_spellings_of_an_identifier_are_the_same(subtests: pytest.Subtests) -> None:
    for name, spelling in SPELLINGS.items():
        with subtests.test(name):
            assert identity(spelling) == "lamp-1"


def test_identifiers_that_look_different_are_different(subtests: pytest.Subtests) -> None:
    for other in ("Lamp-2", "Lamp1", "Lamp_1", "Lámp-1", "Lamp - 1", "La mp-1"):
        with subtests.test(other):
            assert identity(other) != "lamp-1"


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert identity("Co\u0301rdoba") == identity("C\u00d3RDOBA")
    assert identity("stra\u00dfe") == identity("STRASSE")


def test_a_text_has_at_least_one_visible_character(subtests: pytest.Subtests) -> None:
    for text in INVISIBLE:
        with subtests.test(text.encode("unicode_escape").decode()):
            with pytest.raises(ValidationError):
                REQUIRED.validate_python(text)
            assert OPTIONAL.validate_python(text) == ""


def test_invisible_characters_beside_visible_ones_stay(subtests: pytest.Subtests) -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    texts: list[Any] = [family, "a\u00adb", "\u0646\u0645\u200c\u0627", "!", "\u2764\ufe0f"]
    for text in texts:
        with subtests.test(text.encode("unicode_escape").decode()):
            assert REQUIRED.validate_python(text) == text


def test_a_text_of_another_shape_is_refused_in_words() -> None:
    shaped: TypeAdapter[str] = TypeAdapter(Annotated[str, Pattern(r"^[a-z]+$", "Only letters")])

    assert shaped.validate_python("gift") == "gift"
    assert shaped.json_schema()["pattern"] == r"^[a-z]+$"
    for text in ("Gift", "gift\n", ""):
        with pytest.raises(ValidationError) as refusal:
            shaped.validate_python(text)
        [error] = refusal.value.errors()
        assert (error["type"], error["msg"]) == ("string_pattern_mismatch", "Only letters")
