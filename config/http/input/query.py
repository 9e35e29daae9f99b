"""Query parameters, validated against a pydantic model."""

from typing import Annotated, Any, TypeVar

from django.http import HttpRequest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from rest_framework.request import Request

from config.http.errors import ParameterError, UnknownParameterError
from config.http.input.negotiation import FORMAT


class Parameters(BaseModel):
    """Base of the models of query parameters; by itself: no parameters. Others are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Model = TypeVar("_Model", bound=Parameters)


def _digits(value: Any) -> Any:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 18):
            raise PydanticCustomError("number", "A number is written in digits")
        return int(value)
    return value


def number(*, ge: int, le: int) -> Any:
    """Return the type of a whole number in ASCII digits: ``number(ge=1, le=100)``."""
    return Annotated[int, Field(ge=ge, le=le), BeforeValidator(_digits)]


def parse_query(request: HttpRequest | Request, model: type[_Model]) -> _Model:
    """Return the query parameters of ``request`` as ``model``; negotiation reads ``?format=``.

    Raises UnknownParameterError for a parameter that the model doesn't have, ParameterError for a
    value that the model refuses and for a parameter that is sent twice.
    """
    sent: dict[str, str] = {}
    for name, values in request.GET.lists():
        if len(values) > 1:
            raise ParameterError(name, f"The parameter {name!r} is given more than once.")
        if "\0" in values[0]:
            raise ParameterError(name, f"The parameter {name!r} holds a NUL character.")
        sent[name] = values[0]
    sent.pop(FORMAT, None)
    accepted = [field.alias or name for name, field in model.model_fields.items()]
    for name in sent:
        if name not in accepted:
            raise UnknownParameterError(name, accepted)
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
        name = str(details["loc"][0]) if details["loc"] else "query"
        message = details["msg"].removeprefix("Value error, ")
        raise ParameterError(name, f"{name}: {message}.") from error
