"""The generator of the OpenAPI document: names of ids in paths, and tags with descriptions."""

from inspect import getdoc
from typing import Any

from drf_spectacular.generators import SchemaGenerator


class Generator(SchemaGenerator):
    """drf-spectacular's generator, with what our views say about themselves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The descriptions of the tags, in the order of the router.
        self._tags: dict[str, str] = {}

    def coerce_path(self, path: str, method: str, view: Any) -> str:
        """Return ``path`` with the id of the resource under its name, such as ``{order_id}``."""
        return path.replace("{pk}", f"{{{view.id_name}}}")

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        document: dict[str, Any] = super().get_schema(request, public)
        return {**document, "tags": self._described(document["paths"])}

    def _get_paths_and_endpoints(self) -> list[Any]:
        endpoints: list[Any] = super()._get_paths_and_endpoints()
        for path, _regex, _method, view in endpoints:
            tag = path.removeprefix("/api/v1").strip("/").partition("/")[0]
            self._tags.setdefault(
                tag, view.about or (getdoc(type(view)) or "").partition("\n\n")[0]
            )
        return endpoints

    def _described(self, paths: dict[str, Any]) -> list[dict[str, str]]:
        """Return the tags that operations have, each with its description."""
        tags = {
            tag: None
            for operations in paths.values()
            for operation in operations.values()
            for tag in operation.get("tags", ())
        }
        return [{"name": tag, "description": self._tags[tag]} for tag in tags]
