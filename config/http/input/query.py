"""Query parameters, validated against a pydantic model."""

from typing import Annotated, Any, TypeVar

from django.http import HttpRequest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from rest_framework.request import Request

from config.http.errors import ParameterError, UnknownParameterError
from config.http.input.negotiation import FORMAT


class Parameters(BaseModel):
    """The base of a query's parameters; by itself: none. Unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Model = TypeVar("_Model", bound=Parameters)


def _digits(value: Any) -> Any:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 18):
            raise PydanticCustomError("number", "A number is written in digits")
        return int(value)
    return value


def number(*, ge: int, le: int) -> Any:
    """The type of a whole number parameter, written in ASCII digits: ``number(ge=1, le=100)``."""
    return Annotated[int, Field(ge=ge, le=le), BeforeValidator(_digits)]


def parse_query(request: HttpRequest | Request, model: type[_Model]) -> _Model:
    """The query parameters of ``request`` as ``model``; ``?format=`` is left to negotiation.

    Raises UnknownParameterError for one that the model doesn't have, ParameterError for a value
    that it refuses and for one that is given twice.
    """
    given: dict[str, str] = {}
    for name, values in request.GET.lists():
        if len(values) > 1:
            raise ParameterError(name, f"The parameter {name!r} is given more than once.")
        if "\0" in values[0]:
            raise ParameterError(name, f"The parameter {name!r} holds a NUL character.")
        given[name] = values[0]
    given.pop(FORMAT, None)
    known = [field.alias or name for name, field in model.model_fields.items()]
    for name in given:
        if name not in known:
            raise UnknownParameterError(name, known)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        complaint = error.errors(include_url=False, include_input=False)[0]
        name = str(complaint["loc"][0]) if complaint["loc"] else "query"
        message = complaint["msg"].removeprefix("Value error, ")
        raise ParameterError(name, f"{name}: {message}.") from error
