"""Errors whose problems have members beside the message. Plain Python, no Django."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict


class BodyError(TypedDict):
    """One mistake: its place as a JSON pointer, a text for people, a code for programs."""

    pointer: Annotated[str, Field(examples=["#/items/0/quantity"])]
    detail: str
    code: str


class BodyErrors(TypedDict):
    """The members of a problem with a body."""

    errors: Annotated[list[BodyError], Field(description="Mistakes in the body.")]


class DetailedError(Exception):
    """Base of the errors whose problem (RFC 9457) has members of their own.

    A subclass declares the members as ``Members``, which the OpenAPI document shows, and returns
    their values by ``members``.
    """

    class Members(TypedDict):
        """No members."""

    def members(self) -> Mapping[str, Any]:
        return {}
