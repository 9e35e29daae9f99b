"""The pages of exports: a file at once or a job, the progress of a job, and its file."""

from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import content_disposition_header

from config.exports import files
from config.exports.models import Export
from config.http.errors import ParameterError
from ordering_read import permissions
from ordering_read.admin.base import user_of
from ordering_read.exports import jobs
from ordering_read.exports.formats import FORMATS
from ordering_read.exports.lists import all_lists, lists_of
from ordering_read.exports.rows import MOST_AT_ONCE, selection_of_screen
from ordering_read.queries.exports import (
    ExportNotFoundError,
    ExportView,
    GetExport,
    ListExports,
)
from ordering_read.screens.base import Screen


class Choice(NamedTuple):
    """A file that a list offers; ``value`` is such as ``orders.csv``."""

    value: str
    label: str


def choices(model: type[Any], request: HttpRequest) -> list[Choice]:
    """Return the files of the list of ``model`` that the user may export."""
    exports = [
        exported for exported in lists_of(model) if request.user.has_perm(exported.permission)
    ]
    return [
        Choice(
            f"{exported.name}.{suffix}",
            f"{Export.Format(suffix).label}, {exported.label}"
            if len(exports) > 1
            else str(Export.Format(suffix).label),
        )
        for suffix in FORMATS
        for exported in exports
    ]


class ExportsScreen(Screen):
    """The last exports of the user, or of everybody for users who may download them."""

    template_name = "screens/exports.html"
    title = "Exports"
    needed_permission = permissions.VIEW_ORDERS

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        exports = self.ask(ListExports(user_id=_scope(self.request)))
        return super().get_context_data(
            exports=exports, sees_all=_scope(self.request) is None, **kwargs
        )

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Send the file of a list, or start a job for a long list."""
        user = user_of(request)
        name, _, suffix = request.POST.get("file", "").rpartition(".")
        if name not in all_lists() or suffix not in FORMATS:
            raise ParameterError("file", "Choose a list and a format of those that are offered.")
        query = _query_of_list(request.POST.get("query", ""))
        selection = selection_of_screen(all_lists()[name], format=suffix, query=query, user=user)
        if selection.count(most=MOST_AT_ONCE) > MOST_AT_ONCE:
            return self._start(selection)
        export, parts = jobs.send(selection, user=user)
        return _file(ExportView.of_row(export), parts)

    def _start(self, selection: Any) -> HttpResponse:
        try:
            export = jobs.start(selection, user=user_of(self.request))
        except jobs.TooManyExportsError as error:
            messages.error(self.request, str(error))
            return redirect("screens:exports")
        return redirect("screens:export", export.pk)


class ExportScreen(Screen):
    """One export: its progress, and the link to its file."""

    template_name = "screens/export.html"
    title = "Export"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        export = _export(self, kwargs.pop("export_id"))
        return super().get_context_data(
            title=f"Export of {export.list_name.replace('-', ' ')}",
            export=export,
            **kwargs,
        )


class ExportFileScreen(Screen):
    """The file of an export; while there is none, the page of the export."""

    title = "File of an export"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        export = _export(self, kwargs["export_id"])
        if not export.is_ready:
            return redirect("screens:export", export.id)
        row = Export.objects.get(pk=export.id)
        return _file(export, files.content(row))  # type: ignore[return-value]


def _scope(request: HttpRequest) -> UUID | None:
    """Return the id of the user whose exports the user may see; None for everybody's."""
    return None if request.user.has_perm(permissions.DOWNLOAD_EXPORTS) else user_of(request).pk


def _export(screen: Screen, export_id: UUID) -> ExportView:
    try:
        return screen.ask(GetExport(export_id=export_id, user_id=_scope(screen.request)))
    except ExportNotFoundError as error:
        raise Http404("You have no such export.") from error


def _query_of_list(query: str) -> str:
    """Return the filters and the ordering of a list's query string, without the page."""
    parameters = QueryDict(query, mutable=True)
    parameters.pop("p", None)
    return parameters.urlencode()


def _file(export: ExportView, parts: Any) -> StreamingHttpResponse:
    name = export.file_name
    return StreamingHttpResponse(
        parts,
        content_type=FORMATS[export.format].content_type,
        headers={
            "Content-Disposition": content_disposition_header(True, name) or "attachment",
            "Content-Length": str(export.size),
            "Projection-Position": str(export.position),
        },
    )
