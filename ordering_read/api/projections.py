"""The address /projections: the progress of the projections."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import PageBody
from ordering_read.api.headers import LINK
from ordering_read.queries import Page
from ordering_read.queries.projections import GetProjectionStatus, ProjectionView


class ProjectionViewSet(QueryViewSet):
    """The progress of the projections, which keep the tables that reads come from."""

    titles = ("Projections", "Projection")
    needed_permissions = {"list": permissions.VIEW_PROJECTIONS}

    @extend_schema(
        operation_id="projection_list",
        summary="List projections",
        parameters=[LINK],
        responses=PageBody[ProjectionView],
    )
    def list(self, request: Request) -> Response:
        """Lists the progress of all projections, on one page."""
        projections = self.ask(self.query(GetProjectionStatus))
        count = len(projections)
        page = Page[ProjectionView](
            items=projections, count=count, capped=False, page=1, page_size=count + 1
        )
        return self.answer_page(page)
