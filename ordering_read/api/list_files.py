"""Lists of the API as files: ``?format=csv`` for spreadsheets, ``?format=jsonl`` for programs."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.models import User
from config.accounts.roles import customer_scope
from config.http.errors import ParameterError, PermissionMissingError
from config.http.input.negotiation import FORMAT
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.engine.gaps import Streams
from ordering_read.exports import jobs
from ordering_read.exports.lists import all_lists
from ordering_read.exports.rows import MOST_AT_ONCE, Selection
from ordering_read.queries import View
from ordering_read.queries.lists import ListQuery

Item = TypeVar("Item")


class FileRenderer(BaseRenderer):
    """The base of renderers whose data are the content of a file."""

    charset: str | None = None
    render_style = "binary"

    def render(
        self,
        data: bytes | None,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        # A 304 has no body.
        return data or b""


class CSVFileRenderer(FileRenderer):
    """A line of CSV for each row."""

    media_type, format, charset = "text/csv", "csv", "utf-8"


class JSONLinesRenderer(FileRenderer):
    """A JSON object in each line, the first of which describes the file."""

    media_type, format = "application/jsonl", "jsonl"


_RENDERERS = (CSVFileRenderer, JSONLinesRenderer)


def documented(page: Any) -> dict[tuple[int, str], Any]:
    """Return the answers of a list as JSON and as files, for the OpenAPI document."""
    files = {(200, renderer.media_type): OpenApiTypes.STR for renderer in _RENDERERS}
    return {(200, "application/json"): page, **files}


class FileViewSet(QueryViewSet):
    """The base class of viewsets whose lists are files too.

    ``files`` has the name of the export of each such action. A file has the columns and the order
    of that export in the admin, and its record beside the others.
    """

    files: ClassVar[Mapping[str, str]] = {}
    renderer_classes = (*QueryViewSet.renderer_classes, *_RENDERERS)

    def get_renderers(self) -> list[BaseRenderer]:
        renderers = super().get_renderers()
        if self.action in self.files:
            return renderers
        return [renderer for renderer in renderers if not isinstance(renderer, FileRenderer)]

    def answer_list(
        self,
        query: ListQuery[Item],
        body: Callable[[Item, Request], View] | None = None,
        *,
        streams: Streams | None = None,
    ) -> Response:
        if isinstance(self.request.accepted_renderer, FileRenderer):
            return self._answer_file(self.limited(query))
        return super().answer_list(query, body, streams=streams)

    def _answer_file(self, query: ListQuery[Any]) -> Response:
        """Answer with all rows of ``query`` in a file.

        Raises PermissionMissingError, and ParameterError if the file would have too many rows.
        """
        user, exported = self.request.user, all_lists()[self.files[self.action]]
        may_export = user.has_perm(exported.permission) and customer_scope(user) is None
        if not (isinstance(user, User) and may_export):
            raise PermissionMissingError(exported.permission)
        parameters = self.request.query_params.copy()
        parameters.pop(FORMAT, None)
        selection = Selection(
            exported=exported,
            format=self.request.accepted_renderer.format,
            rows=query.rows(),
            filters=parameters.urlencode(),
            with_personal=user.has_perm(permissions.VIEW_PII),
        )
        count = selection.count(most=MOST_AT_ONCE)
        if count > MOST_AT_ONCE:
            detail = f"A file has at most {MOST_AT_ONCE:,} rows, and this list has more."
            raise ParameterError(FORMAT, f"{detail} Filter it, or read its pages by `cursor`.")
        if not count:
            # The list of an unknown customer, product or order isn't found.
            self.ask(query)
        export, parts = jobs.send(selection, user=user)
        name = content_disposition_header(True, export.file_name)
        return Response(b"".join(parts), headers={"Content-Disposition": name})
