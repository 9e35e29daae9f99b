"""The query for the actions that policies have given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import Field

from ordering_read.permissions import MASK
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_write.published import policies, stream_names


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUpView:
    """An action that was given up; ``name`` is the order number or SKU that it is about."""

    action: "policies.given_up.GivenUp"
    name: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUpPage:
    """A page of the actions that were given up, the oldest first, and the number of all."""

    items: Sequence[GivenUpView]
    count: int


class ListGivenUp(Query[GivenUpPage]):
    """List a page of the actions that were given up, or those with some ids."""

    page: int = Field(1, ge=1)
    page_size: int = 50
    ids: tuple[UUID, ...] = ()


@handles(ListGivenUp)
class ListGivenUpHandler(QueryHandler[ListGivenUp, GivenUpPage]):
    """Reads the actions and the names of their orders, in a fixed number of statements."""

    def handle(self, query: ListGivenUp) -> GivenUpPage:
        if query.customer_scope is not None:
            return GivenUpPage(items=(), count=0)
        offset = (query.page - 1) * query.page_size
        actions = (
            policies.given_up.found(query.ids)
            if query.ids
            else policies.given_up.listed(offset=offset, limit=query.page_size)
        )
        count, _ = policies.given_up.count()
        names = stream_names({action.stream for action in actions})
        return GivenUpPage(
            items=[
                GivenUpView(
                    action=action,
                    name=names.get(action.stream, ""),
                    error=action.error if query.with_personal else _masked(action.error),
                )
                for action in actions
            ],
            count=count,
        )


def _masked(error: str) -> str:
    """Return the class of an error: its text may quote what a gateway or carrier said."""
    error_class, _, text = error.partition(": ")
    return f"{error_class}: {MASK}" if text else error
