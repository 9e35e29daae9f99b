"""Text in requests: normalised, and without deceptive characters. Plain Python, no Django."""

import unicodedata
from functools import lru_cache
from hashlib import sha256
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from config.fields.spelling import DASHES

# Characters that reorder the text around them (Unicode TR 36, "bidi spoofing").
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# Controls, half surrogate pairs, line and paragraph separators: each can fake a line in a log.
_REFUSED = frozenset(("Cc", "Cs", "Zl", "Zp"))

# Characters without a shape that Unicode doesn't count among the format characters (Cf): fillers,
# the joiner of graphemes, the blank Braille cell, variation selectors.
_SHAPELESS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)


def is_visible(text: str) -> bool:
    """Return True if ``text`` has a letter, digit, punctuation mark or symbol that can be seen."""
    return any(
        unicodedata.category(character)[0] in "LNPS" and character not in _SHAPELESS
        for character in text
    )


def identity(text: str) -> str:
    """Return ``text`` in the form in which identifiers that people type are compared.

    Width, composition (NFKC), case, invisible characters, kinds of dashes and the number of spaces
    make no difference.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", _without_invisible(text)).casefold()
    folded = _without_invisible(unicodedata.normalize("NFKC", folded))
    dashed = "".join("-" if _is_dash(character) else character for character in folded)
    return " ".join(dashed.split())


# The most characters of a key.
KEY_LENGTH = 64


# Cached, because many lines have the same SKUs.
@lru_cache(maxsize=10_000)
def identity_key(text: str) -> str:
    """Return ``identity(text)``, or its SHA-256 if it is longer than KEY_LENGTH characters.

    Two texts are the same identifier if their keys are equal. An index can hold every key.
    """
    compared = identity(text)
    return compared if len(compared) <= KEY_LENGTH else sha256(compared.encode()).hexdigest()


def _without_invisible(text: str) -> str:
    return "".join(
        character
        for character in text
        if unicodedata.category(character) != "Cf" and character not in _SHAPELESS
    )


def _is_dash(character: str) -> bool:
    return unicodedata.category(character) == "Pd" or character in DASHES


class Text:
    """Annotation for a pydantic ``str`` field: ``Annotated[str, Text(max_length=200)]``.

    The value is NFC normalised and stripped of white space. Control characters (except tab and line
    breaks with ``lines=True``), bidi controls and lone surrogates are refused, as are more than
    ``max_length`` code points or fewer than ``min_length``. A text of invisible characters is
    refused, or empty where it may be empty.
    """

    def __init__(self, *, max_length: int, min_length: int = 1, lines: bool = False) -> None:
        self.max_length = max_length
        self.min_length = min_length
        self.allowed = frozenset("\t\n\r") if lines else frozenset()

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        shape = core_schema.str_schema(
            strict=True, strip_whitespace=True, min_length=self.min_length
        )
        return core_schema.no_info_after_validator_function(self.check, shape)

    def check(self, value: str) -> str:
        # Refuse a long text before it is normalised: a megabyte of combining marks takes minutes.
        # NFC joins at most four code points into one.
        if len(value) > 4 * self.max_length:
            raise self._too_long()
        for character in value:
            if character in _BIDI or (
                unicodedata.category(character) in _REFUSED and character not in self.allowed
            ):
                raise PydanticCustomError(
                    "text_character",
                    "The character U+{code} is not allowed here",
                    {"code": f"{ord(character):04X}"},
                )
        value = unicodedata.normalize("NFC", value)
        if len(value) > self.max_length:
            raise self._too_long()
        if is_visible(value):
            return value
        if self.min_length:
            raise PydanticCustomError("text_invisible", "The text has no visible character")
        return ""

    def _too_long(self) -> PydanticCustomError:
        return PydanticCustomError(
            "string_too_long",
            "String should have at most {max_length} characters",
            {"max_length": self.max_length},
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        lengths = {"minLength": self.min_length, "maxLength": self.max_length}
        return {**handler(schema), **lengths}
