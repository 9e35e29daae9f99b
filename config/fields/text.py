"""Text in requests: normalised, and without deceptive characters. Plain Python, no Django."""

import unicodedata
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

# Characters that reorder the text around them (Unicode TR 36, "bidi spoofing").
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# Controls, half surrogate pairs, line and paragraph separators: each can fake a line in a log.
_REFUSED = frozenset(("Cc", "Cs", "Zl", "Zp"))


class Text:
    """Annotation for a pydantic ``str`` field: ``Annotated[str, Text(max_length=200)]``.

    The value is NFC normalised and stripped of white space. Control characters (except tab and line
    breaks with ``lines=True``), bidi controls and lone surrogates are refused, as are more than
    ``max_length`` code points or fewer than ``min_length``.
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
        return value

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
