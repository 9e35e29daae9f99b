"""Reading how far the projections have come."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import ProjectionPageBody
from ordering_read.api.headers import LINK
from ordering_read.queries import GetProjectionStatus, Page, ProjectionView


class ProjectionViewSet(QueryViewSet):
    """GET /projections."""

    titles = ("Projections", "Projection")
    needed_permissions = {"list": permissions.VIEW_PROJECTIONS}

    @extend_schema(
        operation_id="projection_list",
        summary="List projections",
        parameters=[LINK],
        responses=ProjectionPageBody,
    )
    def list(self, request: Request) -> Response:
        """How far each projection has come, all on one page."""
        parse_query(request, Parameters)
        shown = self.ask(GetProjectionStatus())
        page = Page[ProjectionView](
            items=shown, count=len(shown), capped=False, page=1, page_size=len(shown) + 1
        )
        return self.answer_page(page)
