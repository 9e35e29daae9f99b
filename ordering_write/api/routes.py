"""From a row of a table to an endpoint: the one way in which commands are given over HTTP."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from inspect import cleandoc
from typing import Any, ClassVar, Literal
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from pydantic import BaseModel
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.input.ids import path_id
from ordering_write.api.base import Answer, CommandEndpoint, answer, recorded
from ordering_write.api.bodies import body_of
from ordering_write.api.examples import example_of
from ordering_write.bus import Outcome
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import FieldError, NotFoundError
from ordering_write.models import Aggregate

# What DRF calls the methods of an address without a name of its own.
_NAMELESS = {"POST": "create", "PATCH": "partial_update"}
_IN_BRACES = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Route:
    """A command and where it is given.

    ``path`` is below the resource and holds fields of the command as ``{names}``; POST to the empty
    path makes a resource. ``makes`` is the answer of a command that makes something new: the id of
    that is its own first field. ``without`` are fields that this address doesn't take. ``example``
    is what matters in the example of a body; the rest is filled in. ``name`` is for the second
    address of a command.
    """

    verb: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str
    command: type[Command]
    makes: type[BaseModel] | None = None
    without: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def makes_resource(self) -> bool:
        return self.verb == "POST" and not self.path

    @cached_property
    def slug(self) -> str:
        """By which permissions, forms and the OpenAPI document know it: ``cancel_order``."""
        return self.name or re.sub(r"(?<!^)(?=[A-Z])", "_", self.command.__name__).lower()

    @property
    def method(self) -> str:
        """The method of the viewset that answers."""
        return self.slug if self.path else _NAMELESS[self.verb]

    @cached_property
    def fields(self) -> list[str]:
        """The fields of the command that the path holds, the resource's own id aside."""
        return _IN_BRACES.findall(self.path)

    @property
    def url_name(self) -> str:
        """The name of its address, without the resource's."""
        if not self.path:
            return "list" if self.makes_resource else "detail"
        return _IN_BRACES.sub(r"\1", self.path).replace("/", "-")

    @property
    def news(self) -> list[str]:
        """What the answer says of the thing that it makes: its id first."""
        return list(self.makes.__annotations__) if self.makes else []


class CommandRoutes(CommandEndpoint):
    """The unsafe methods of a resource, one for each of its ``routes``.

    ``key`` is the field of commands and events that holds the resource's id, ``address`` where its
    list is, ``missing`` what is raised where there is none, ``aggregate`` what the commands change,
    and ``body`` what their answers say of it.
    """

    routes: ClassVar[Sequence[Route]]
    key: ClassVar[str]
    address: ClassVar[str]
    missing: ClassVar[type[NotFoundError]]
    aggregate: ClassVar[type[Aggregate]]
    body: ClassVar[type[BaseModel]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "routes" not in cls.__dict__:
            return
        cls.needed_permissions = {
            route.method: f"ordering_write.{next(iter(route.command.permissions))}"
            for route in cls.routes
        }
        at: dict[str, Any] = {}
        for route in cls.routes:
            method = _method(route)
            if route.path in at:
                # One more verb of an address: DRF keeps it with the first.
                getattr(at[route.path].mapping, route.verb.lower())(method)
            elif route.path:
                at[route.path] = method = _at_its_address(route)(method)
            setattr(cls, route.method, cls._documented(route)(method))

    @classmethod
    def get_extra_actions(cls) -> list[Any]:
        """DRF's, those with an id in their path last: it would match what has a name of its own."""
        return sorted(super().get_extra_actions(), key=lambda action: "(" in action.url_path)

    @classmethod
    def _documented(cls, route: Route) -> Callable[[Any], Any]:
        in_path = () if route.makes_resource else (cls.key, *route.fields, *route.without)
        body = body_of(route.command, in_path, name=route.name.title().replace("_", ""))
        example = OpenApiExample("Example", cls.example(route, {}), request_only=True)
        return extend_schema(
            operation_id=route.slug,
            summary=route.slug.replace("_", " ").capitalize(),
            description=cleandoc(route.command.__doc__ or ""),
            parameters=[
                *([] if route.makes_resource else [OpenApiParameter("id", UUID, "path")]),
                *(_path_parameter(route, name) for name in route.fields),
            ],
            request=body if body.model_fields else None,
            responses={201 if route.makes else 200: route.makes or cls.body, 409: None},
            examples=[example] if body.model_fields else [],
        )

    @classmethod
    def example(cls, route: Route, known: Mapping[str, Any]) -> dict[str, Any]:
        body = body_of(route.command, (cls.key, *route.fields, *route.without))
        return example_of(body, known={**route.example, **known})

    def examples(self, known: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """A body for each command by its method, of what is ``known`` by the name of the field."""
        return {route.method: self.example(route, known) for route in self.routes}

    def carry_out(
        self, request: Request, route: Route, pk: str | None, in_path: Mapping[str, str]
    ) -> Response:
        """Give the command of ``route``, and answer what it did.

        Raises what ``give`` raises, and NotFoundError for a path that names nothing.
        """
        fields: dict[str, Any] = dict.fromkeys(route.without)
        if pk is not None:
            fields[self.key] = path_id(pk, self.missing)
        for name, text in in_path.items():
            fields[name] = path_id(text, NotFoundError) if _is_id(route, name) else text
        here = request.build_absolute_uri(self.address)
        try:
            return self.give(
                request,
                route.command,
                lambda outcome: self._told(route, outcome, fields.get(self.key), here),
                **fields,
            )
        except FieldError as error:
            # A field of the path names nothing, or what it names would be needed in full.
            if error.pointer.removeprefix("#/") in {*in_path, *route.without}:
                raise NotFoundError(str(error)) from error
            raise

    def _told(self, route: Route, outcome: Outcome, pk: UUID | None, address: str) -> Answer:
        """What the command of ``route`` did, and where what it made is found below ``address``."""
        body = self._state(outcome, pk)
        if route.makes is None or not outcome:
            return answer(self.body.model_validate(body).model_dump(mode="json"), outcome)
        for name in route.news:
            body[name] = next(getattr(event, name) for event in outcome if hasattr(event, name))
        here, new_id = f"{address}/{body[self.key]}", str(body[route.news[0]])
        body["links"] = self._links(route, here, new_id=new_id)
        return answer(
            route.makes.model_validate(body).model_dump(mode="json"),
            outcome,
            status=201,
            # What is part of a resource is seen there.
            location=here if route.makes_resource else f"{here}#{new_id}",
        )

    def _state(self, outcome: Outcome, pk: UUID | None) -> dict[str, Any]:
        """The resource after the command, which may have changed nothing."""
        pk = pk or getattr(outcome[0], self.key)
        stream = f"{self.aggregate.stream_prefix}-{pk}"
        events = [event for event in outcome if event.recorded.stream == stream]
        if events:
            state = {**dict(events[-1]), "version": events[-1].recorded.version}
        else:
            state = vars(self.aggregate._default_manager.get(pk=pk))
        told = {name: state[name] for name in self.body.model_fields if name in state}
        return {**told, self.key: pk, "events": recorded(outcome, stream)}

    def _links(self, route: Route, here: str, *, new_id: str) -> dict[str, str]:
        """The addresses of commands about what was made."""
        named = [] if route.makes_resource else [route.news[0]]
        made = "".join(f"{route.path}/{{{name}}}" for name in named)
        links = {"self" if route.makes_resource else self.key.removesuffix("_id"): here}
        for other in self.routes:
            if other.path.startswith(made) and other.path != made and other.fields == named:
                name = other.path.removeprefix(made).strip("/").replace("/", "-")
                links[name] = f"{here}/{_IN_BRACES.sub(new_id, other.path)}"
        return links


def _method(route: Route) -> Callable[..., Response]:
    def method(
        self: CommandRoutes, request: Request, pk: str | None = None, **in_path: str
    ) -> Response:
        return self.carry_out(request, route, pk, in_path)

    method.__name__ = route.method
    method.__doc__ = route.command.__doc__
    return method


def _at_its_address(route: Route) -> Callable[[Any], Any]:
    return action(
        detail=True,
        methods=[route.verb],
        url_path=_IN_BRACES.sub(r"(?P<\1>[^/]+)", route.path),
        url_name=route.url_name,
    )


def _path_parameter(route: Route, name: str) -> OpenApiParameter:
    if _is_id(route, name):
        return OpenApiParameter(name, UUID, "path")
    examples = route.command.model_fields[name].examples or []
    return OpenApiParameter(name, {"type": "string", "examples": examples}, "path")


def _is_id(route: Route, name: str) -> bool:
    return route.command.model_fields[name].annotation in (UUID, UUID | None)
