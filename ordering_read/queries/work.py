"""The query for what is to be done: orders to confirm, to pack, held, and so on.

The conditions select the rows of the lists too, so that a number and its list always agree.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.db.models import Count, DateTimeField, F, JSONField, Min, Model, Q, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast
from pydantic.json_schema import SkipJsonSchema

from ordering_read.models import (
    InventoryLevel,
    OrderSummary,
    ParkedEvent,
    ReadModel,
    of_live_generations,
)
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.projector import registered
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.fulfilment import stopped
from ordering_read.queries.views import View
from ordering_write import published
from ordering_write.published import OrderStatus
from ordering_write.published import events as e


class Work(StrEnum):
    """A kind of work that waits for people."""

    TO_CONFIRM = "to_confirm"
    ON_HOLD = "on_hold"
    ATTENTION = "attention"
    CREDIT_OWED = "credit_owed"
    RETURNS = "returns"
    TO_PACK = "to_pack"
    TO_DISPATCH = "to_dispatch"
    LOW_STOCK = "low_stock"
    GOODS_LATE = "goods_late"
    PARKED = "parked"
    GIVEN_UP = "given_up"


class _Selection(NamedTuple):
    """The rows of a kind of work: those of ``model`` that meet ``condition``.

    ``since`` is the field with the time of the row, if it has one.
    """

    model: type[Model]
    condition: Q
    since: str | None = None

    @property
    def rows(self) -> "QuerySet[Any]":
        """The rows of the model that readers see."""
        if issubclass(self.model, ReadModel):
            return self.model.live.all()
        return self.model._default_manager.all()


# The queue holds orders without units until they have some again.
_MAY_MOVE = Q(units__gt=0, hold_reason="") & ~Q(status=OrderStatus.PENDING)


def _selections() -> Mapping[Work, _Selection]:
    now = datetime.now(UTC).isoformat()
    return {
        Work.TO_CONFIRM: _Selection(
            OrderSummary, Q(status=OrderStatus.PENDING, hold_reason=""), "created_at"
        ),
        Work.ON_HOLD: _Selection(OrderSummary, ~Q(hold_reason=""), "created_at"),
        Work.ATTENTION: _Selection(OrderSummary, ~Q(attention=[]), "created_at"),
        Work.CREDIT_OWED: _Selection(
            OrderSummary, Q(payment_status=e.PaymentStatus.CREDIT_OWED), "created_at"
        ),
        Work.RETURNS: _Selection(
            OrderSummary, Q(return_status=e.ReturnStatus.REQUESTED), "created_at"
        ),
        Work.TO_PACK: _Selection(
            QueuedOrder, _MAY_MOVE & Q(open_units__gt=0) & ~stopped(), "placed_at"
        ),
        Work.TO_DISPATCH: _Selection(QueuedOrder, _MAY_MOVE & Q(packed_units__gt=0), "placed_at"),
        Work.LOW_STOCK: _Selection(InventoryLevel, Q(is_low=True, discontinued_at=None)),
        # The expectation of the earliest time comes first.
        Work.GOODS_LATE: _Selection(InventoryLevel, ~Q(expected=[]) & Q(expected__0__at__lt=now)),
        Work.PARKED: _Selection(
            ParkedEvent,
            of_live_generations("checkpoint__")
            & Q(checkpoint__name__in=registered())
            & Q(skipped_at=None)
            & ~Q(category=ParkedEvent.Category.WAITING),
            "parked_at",
        ),
    }


class WorkItemView(View):
    """The number of rows of a kind of work, and the time of the oldest, if they have times."""

    count: int
    oldest: datetime | None


class WorkView(View):
    """The work that waits for people, by kind."""

    kinds: dict[Work, WorkItemView]


class CountWork(Query[WorkView]):
    """Count what is to be done.

    ``given_up`` is the number of actions that policies have given up and the time of the oldest, if
    the caller has just counted them.
    """

    given_up: SkipJsonSchema[tuple[int, datetime | None] | None] = None


@handles(CountWork)
class CountWorkHandler(QueryHandler[CountWork, WorkView]):
    """Counts the rows of all kinds in one statement; each kind has an index of its own.

    Another statement counts what policies have given up, which is in the other database, unless
    the query says it.
    """

    def handle(self, query: CountWork) -> WorkView:
        if query.customer_scope is not None:
            return work_view([])
        given_up = query.given_up or published.policies.given_up.count()
        return work_view(_counts(), given_up)


def counts_of_work() -> RawSQL:
    """Return the counts of all kinds but GIVEN_UP as an expression, for ``work_view``.

    A statement of another query can read them too, as JSON.
    """
    statement, parameters = _counts().query.sql_with_params()
    counts = f"(SELECT jsonb_agg(work) FROM ({statement}) AS work)"  # noqa: S608 (Django's text)
    return RawSQL(counts, parameters, output_field=JSONField())  # noqa: S611


def work_view(
    counts: Iterable[Mapping[str, Any]], given_up: tuple[int, datetime | None] = (0, None)
) -> WorkView:
    """Return the view of ``counts`` and of what policies have given up."""
    rows: dict[str, Mapping[str, Any]] = {row["kind"]: row for row in counts}
    count, oldest = given_up
    rows[Work.GIVEN_UP] = {"count": count, "oldest": oldest}
    none = {"count": 0, "oldest": None}
    return WorkView.model_validate({"kinds": {kind: rows.get(kind, none) for kind in Work}})


def _counts() -> QuerySet[Any]:
    first, *others = (
        work_rows(kind)
        .order_by()
        .values(kind=Value(kind.value))
        .annotate(count=Count("*"), oldest=_oldest(selection.since))
        for kind, selection in _selections().items()
    )
    return first.union(*others, all=True)


def work_rows(kind: Work) -> QuerySet[Any]:
    """Return the live rows of a kind of work. GIVEN_UP has no rows: see ``ListGivenUp``."""
    return select_work(_selections()[kind].rows, kind)


def select_work(rows: QuerySet[Any], kind: Work) -> QuerySet[Any]:
    """Return those of ``rows`` that are work of this kind."""
    return rows.filter(_selections()[kind].condition)


def _oldest(since: str | None) -> Any:
    if since is None:
        return Cast(Value(None), DateTimeField())
    return Min(F(since))
