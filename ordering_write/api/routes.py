"""Route tables: a row says where a command is dispatched over HTTP, and the endpoint follows."""

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

from config.fields.names import taken
from config.http.errors import PermissionMissingError
from config.http.input.ids import path_id
from config.http.openapi.schema import description_of
from ordering_write.api.base import CommandEndpoint, StoredResponse, recorded_events, response_of
from ordering_write.api.bodies import body_of
from ordering_write.api.examples import example_of
from ordering_write.bus import CommandResult
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import FieldError, NotFoundError
from ordering_write.handlers import handler_of
from ordering_write.models import Aggregate

# DRF's names for the methods of a resource itself.
_RESOURCE_METHODS = {"POST": "create", "PATCH": "partial_update"}
_IN_BRACES = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Route:
    """A row of a route table: a command, and the verb and path that dispatch it.

    ``path`` is below the resource and holds fields of the command as ``{names}``; POST to the empty
    path makes a resource. ``response_model`` is the response of a command that makes something new;
    the first field of its own is the id of the new thing. ``excluded_fields`` are fields of the
    command that this route doesn't take. ``example`` holds fields of the example body; defaults by
    field name fill the rest. ``name`` is needed for the second route of a command. ``is_fact`` is
    True for a command that changes nothing when it records a fact again; its response is then the
    resource, with 200.
    """

    verb: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str
    command: type[Command]
    response_model: type[BaseModel] | None = None
    excluded_fields: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    is_fact: bool = False

    @property
    def makes_resource(self) -> bool:
        return self.verb == "POST" and not self.path

    @cached_property
    def slug(self) -> str:
        """The name in the OpenAPI document, in forms and in actions: ``cancel_order``."""
        return self.name or re.sub(r"(?<!^)(?=[A-Z])", "_", self.command.__name__).lower()

    @property
    def method(self) -> str:
        """The name of the viewset's method."""
        return self.slug if self.path else _RESOURCE_METHODS[self.verb]

    @cached_property
    def path_fields(self) -> list[str]:
        """The fields of the command that the path holds, without the resource's own id."""
        return _IN_BRACES.findall(self.path)

    @property
    def url_name(self) -> str:
        """The name of the URL pattern, without the resource's."""
        if not self.path:
            return "list" if self.makes_resource else "detail"
        return _IN_BRACES.sub(r"\1", self.path).replace("/", "-")

    @property
    def created_fields(self) -> list[str]:
        """The fields of the response about the new thing, its id first."""
        return list(self.response_model.__annotations__) if self.response_model else []


class CommandRoutes(CommandEndpoint):
    """The unsafe methods of a resource, one for each row of ``routes``.

    ``address`` is the URL of the list of resources, ``missing`` the error for an unknown id,
    ``aggregate`` what the commands change, and ``body`` the response model of a command that makes
    nothing new. The resource's id has the name of the aggregate's ``id_field``.
    """

    # Every table of routes, in the order of the definition.
    tables: ClassVar[list[type["CommandRoutes"]]] = []

    routes: ClassVar[Sequence[Route]]
    address: ClassVar[str]
    missing: ClassVar[type[NotFoundError]]
    aggregate: ClassVar[type[Aggregate]]
    body: ClassVar[type[BaseModel]]
    # The method of the first verb of each path.
    _by_path: ClassVar[dict[str, Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "routes" not in cls.__dict__:
            return
        cls.id_name = cls.aggregate.id_field
        routes, cls.routes = cls.routes, ()
        cls.needed_permissions, cls._by_path = {}, {}
        cls.tables.append(cls)
        cls.add(*routes)

    @classmethod
    def add(cls, *routes: Route) -> None:
        """Add ``routes`` to the table: the endpoint gets a method for each.

        A shop's app adds routes in its module ``routes``, before the endpoints are made. Raises
        RegistrationError for a verb and path that are taken.
        """
        for route in routes:
            if any((route.verb, route.path) == (other.verb, other.path) for other in cls.routes):
                address = f"{route.verb} {cls.address}/{route.path}"
                raise taken("route", address, cls.__module__, route.command.__module__)
            cls.routes = (*cls.routes, route)
            permission = handler_of(route.command).permission.name
            cls.needed_permissions = {**cls.needed_permissions, route.method: permission}
            method = _method(route)
            if route.path in cls._by_path:
                # DRF keeps further verbs of a path with the method of its first verb.
                getattr(cls._by_path[route.path].mapping, route.verb.lower())(method)
            elif route.path:
                cls._by_path[route.path] = method = _action(route)(method)
            setattr(cls, route.method, cls._documented(route)(method))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            super().initial(request, *args, **kwargs)
        except PermissionMissingError as error:
            commands = {route.method: route.command for route in self.routes}
            command_type = commands.get(self.action_of(str(request.method)))
            if command_type and not (self.is_preview or "dry_run" in request.GET):
                self.keep_refusal(request, command_type, self._stream(kwargs.get("pk")), error)
            raise

    def _stream(self, pk: str | None) -> str:
        """Return the stream that the path names; "" if it names none."""
        try:
            return f"{self.aggregate.stream_prefix}-{path_id(pk or '', ValueError)}"
        except ValueError:
            return ""

    @classmethod
    def get_extra_actions(cls) -> list[Any]:
        """Return DRF's actions, those with a field in the path last: it would match other paths."""
        return sorted(super().get_extra_actions(), key=lambda action: "(" in action.url_path)

    @classmethod
    def _documented(cls, route: Route) -> Callable[[Any], Any]:
        in_path = () if route.makes_resource else cls._fields_outside_body(route)
        body = body_of(route.command, in_path, name=route.name.title().replace("_", ""))
        responses = {201: route.response_model} if route.response_model else {200: cls.body}
        if route.is_fact:
            responses[200] = cls.body
        return extend_schema(
            operation_id=route.slug,
            summary=route.slug.replace("_", " ").capitalize(),
            description=cleandoc(route.command.__doc__ or ""),
            parameters=[_path_parameter(route, name) for name in route.path_fields],
            request=body if body.model_fields else None,
            responses={**responses, 409: None},
        )

    @classmethod
    def _fields_outside_body(cls, route: Route) -> tuple[str, ...]:
        return (cls.id_name, *route.path_fields, *route.excluded_fields)

    @classmethod
    def example(cls, route: Route, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return an example body of ``route``; ``values`` replace defaults, by field name."""
        body = body_of(route.command, cls._fields_outside_body(route))
        return example_of(body, values={**route.example, **values})

    def documented_examples(self, method: str) -> list[OpenApiExample]:
        routes = [route for route in self.routes if route.method == self.action]
        bodies = [body for route in routes if (body := self.example(route, {}))]
        return [OpenApiExample("Example", body, request_only=True) for body in bodies]

    def examples(self, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return an example body of each route by its method; see ``example``."""
        return {route.method: self.example(route, values) for route in self.routes}

    def handle_route(
        self, request: Request, route: Route, pk: str | None, path_texts: Mapping[str, str]
    ) -> Response:
        """Dispatch the command of ``route``.

        Raises the errors of ``dispatch_command``, and NotFoundError for a path that names nothing.
        """
        fields: dict[str, Any] = dict.fromkeys(route.excluded_fields)
        if pk is not None:
            fields[self.id_name] = path_id(pk, self.missing)
        for name, text in path_texts.items():
            fields[name] = path_id(text, NotFoundError) if _is_id(route, name) else text
        list_url = request.build_absolute_uri(self.address)
        try:
            return self.dispatch_command(
                request,
                route.command,
                lambda result: self._respond(route, result, fields.get(self.id_name), list_url),
                **fields,
            )
        except FieldError as error:
            # The error is about the path, not about the body.
            if error.pointer.removeprefix("#/") in {*path_texts, *route.excluded_fields}:
                raise NotFoundError(str(error)) from error
            raise

    def _respond(
        self, route: Route, result: CommandResult, pk: UUID | None, list_url: str
    ) -> StoredResponse:
        fields = self._resource_fields(result, pk)
        if route.response_model is None or not result:
            return response_of(self.body.model_validate(fields).model_dump(mode="json"), result)
        for name in route.created_fields:
            fields[name] = next(getattr(event, name) for event in result if hasattr(event, name))
        url, new_id = f"{list_url}/{fields[self.id_name]}", str(fields[route.created_fields[0]])
        fields["links"] = self._links(route, url, new_id=new_id)
        return response_of(
            route.response_model.model_validate(fields).model_dump(mode="json"),
            result,
            status=201,
            # A part of a resource is found at the resource.
            location=url if route.makes_resource else f"{url}#{new_id}",
        )

    def _resource_fields(self, result: CommandResult, pk: UUID | None) -> dict[str, Any]:
        """Return the resource after the command, which may have changed nothing."""
        pk = pk or getattr(result[0], self.id_name)
        stream = f"{self.aggregate.stream_prefix}-{pk}"
        events = [event for event in result if event.recorded.stream == stream]
        if events:
            state = {**dict(events[-1]), "version": events[-1].recorded.version}
        else:
            state = vars(self.aggregate._default_manager.get(pk=pk))
        fields = {name: state[name] for name in self.body.model_fields if name in state}
        return {**fields, self.id_name: pk, "events": recorded_events(result, stream)}

    def _links(self, route: Route, url: str, *, new_id: str) -> dict[str, str]:
        """Return the URLs of the commands about the new thing, below the resource's ``url``."""
        id_fields = [] if route.makes_resource else [route.created_fields[0]]
        new_path = "".join(f"{route.path}/{{{name}}}" for name in id_fields)
        links = {"self" if route.makes_resource else self.id_name.removesuffix("_id"): url}
        for other in self.routes:
            is_below = other.path.startswith(new_path) and other.path != new_path
            if is_below and other.path_fields == id_fields:
                name = other.path.removeprefix(new_path).strip("/").replace("/", "-")
                links[name] = f"{url}/{_IN_BRACES.sub(new_id, other.path)}"
        return links


def _method(route: Route) -> Callable[..., Response]:
    def method(
        self: CommandRoutes, request: Request, pk: str | None = None, **path_texts: str
    ) -> Response:
        return self.handle_route(request, route, pk, path_texts)

    method.__name__ = route.method
    method.__doc__ = route.command.__doc__
    return method


def _action(route: Route) -> Callable[[Any], Any]:
    return action(
        detail=True,
        methods=[route.verb],
        url_path=_IN_BRACES.sub(r"(?P<\1>[^/]+)", route.path),
        url_name=route.url_name,
    )


def _path_parameter(route: Route, name: str) -> OpenApiParameter:
    if _is_id(route, name):
        return OpenApiParameter(name, UUID, "path", description=description_of(name))
    field = route.command.model_fields[name]
    schema = {"type": "string", "examples": field.examples or []}
    return OpenApiParameter(name, schema, "path", description=field.description or "")


def _is_id(route: Route, name: str) -> bool:
    return route.command.model_fields[name].annotation in (UUID, UUID | None)
