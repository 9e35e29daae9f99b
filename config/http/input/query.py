"""Query parameters, validated against a pydantic model."""

from functools import cache
from typing import Annotated, Any, TypeVar

from django.http import HttpRequest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from rest_framework.request import Request

from config.http.errors import ParameterError, UnknownParameterError
from config.http.input.negotiation import FORMAT


class Parameters(BaseModel):
    """Base of the models of query parameters. The base itself has no parameters.

    Unknown parameters are refused. A field without a JSON schema (``SkipJsonSchema``) isn't a
    parameter: the view sets its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, defer_build=True)


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


@cache
def parameter_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of the parameters that are the fields of ``model``."""
    return model.model_json_schema()


def parse_query(request: HttpRequest | Request, model: type[_Model], **fields: Any) -> _Model:
    """Return ``model``, made of the query parameters of ``request`` and of the view's ``fields``.

    ``?format=`` is left to content negotiation. Raises UnknownParameterError for a parameter that
    the model lacks, and ParameterError for a repeated parameter and for a value that the model
    refuses.
    """
    sent: dict[str, str] = {}
    for name, values in request.GET.lists():
        if len(values) > 1:
            raise ParameterError(name, f"The parameter {name!r} is given more than once.")
        if "\0" in values[0]:
            raise ParameterError(name, f"The parameter {name!r} holds a NUL character.")
        sent[name] = values[0]
    sent.pop(FORMAT, None)
    names = list(parameter_schema(model).get("properties", {}))
    for name in sent:
        if name not in names:
            raise UnknownParameterError(name, names)
    try:
        return model.model_validate({**sent, **fields})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
        name = str(details["loc"][0]) if details["loc"] else "query"
        message = details["msg"].removeprefix("Value error, ")
        raise ParameterError(name, f"{name}: {message}.") from error
