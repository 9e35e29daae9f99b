"""Texts that must match a regular expression, refused in words. Plain Python, no Django."""

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Pattern:
    """Annotation for a pydantic ``str`` field: ``Annotated[str, Pattern(r"^[a-z]+$", "…")]``.

    The whole text must match ``expression``. ``message`` tells people what the text looks like.
    """

    def __init__(self, expression: str, message: str) -> None:
        self.expression, self.message = expression, message

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def check(self, value: str) -> str:
        if not re.fullmatch(self.expression, value):
            raise PydanticCustomError("string_pattern_mismatch", self.message)
        return value

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.expression}
