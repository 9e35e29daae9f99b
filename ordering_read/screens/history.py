"""The page of an order's history: two versions side by side, and what caused one of them."""

from collections.abc import Sequence
from html import escape
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from pydantic import ValidationError

from config.fields.members import BodyError
from config.http.admin import page_url
from config.http.input.validation import errors_of
from ordering_read import permissions
from ordering_read.admin.base import grouped, log_url
from ordering_read.admin.gaps import gap_of_stream
from ordering_read.admin.labels import CHANNELS, class_label, field_label
from ordering_read.models import OrderSummary
from ordering_read.queries.causes import GetCauses
from ordering_read.queries.masks import masked_order
from ordering_read.queries.order_facts import ComparedTopic, Fact, compare
from ordering_read.queries.order_history import (
    GetOrderHistory,
    OrderHistoryView,
    store_moment,
)
from ordering_read.queries.orders import NotThenError, OrderDetail, OrderNotFoundError
from ordering_read.screens.base import Screen
from ordering_read.screens.causes import tree_context

# The most topics of a section that the page shows.
_MOST_TOPICS = 200
_CHOICES = ("version", "compared", "as_of")


class OrderHistoryScreen(Screen):
    """An order at ``?version=``, or ``?as_of=`` a moment, beside the version ``?compared=``.

    Without them, the newest version beside the one before. A choice that can't be shown is
    answered with 400, the reason and the newest version.
    """

    template_name = "screens/order_history.html"
    title = "History"
    needed_permission = permissions.VIEW_HISTORY

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        choices = {name: text for name in _CHOICES if (text := request.GET.get(name, "").strip())}
        try:
            history, problem = self._history(kwargs["order_id"], choices)
        except OrderNotFoundError as error:
            raise Http404(str(error)) from error
        context = self._context(kwargs["order_id"], history)
        context |= {"problem": problem, "choices": choices}
        return self.render_to_response(context, status=400 if problem else 200)

    def _history(self, order_id: UUID, choices: dict[str, str]) -> tuple[OrderHistoryView, str]:
        """Return the history of the order, and why it isn't the chosen one; "" if it is."""
        moment = {"as_of": store_moment(choices["as_of"])} if "as_of" in choices else {}
        try:
            query = GetOrderHistory.model_validate({"order_id": order_id, **choices, **moment})
            return self.ask(query), ""
        except ValidationError as error:
            problem = " ".join(map(_complaint, errors_of(error)))
        except NotThenError as error:
            problem = str(error)
        return self.ask(GetOrderHistory(order_id=order_id)), problem

    def _context(self, order_id: UUID, history: OrderHistoryView) -> dict[str, Any]:
        before, after = self._masked(history.before), self._masked(history.after)
        compared = compare(before, after) if after else []
        chosen = next(item for item in history.versions if item.version == history.version)
        causes = self.ask(GetCauses(correlation_id=chosen.correlation_id))
        gap = gap_of_stream(f"order-{order_id}", "order_timeline")
        first, last = history.versions[0].version, history.versions[-1].version
        return self.get_context_data(
            history=history,
            chosen=chosen,
            is_placed_now=before is None,
            sections=[(section.label, *_bounded(section.topics)) for section in compared],
            changes=[topic for section in compared for topic in section.topics if topic.change],
            versions=[
                (
                    item,
                    item.sentence or class_label(item.type),
                    CHANNELS.get(item.channel, item.channel),
                )
                for item in history.versions
            ],
            earlier=first - 1,
            later=last + 1 if last < history.newest else 0,
            number=history.order_number,
            orders=OrderSummary._meta,
            order_url=page_url(OrderSummary, order_id) if self.may(permissions.VIEW_ORDERS) else "",
            log_url=log_url(self.request, f"order-{order_id}"),
            projection_gaps=[gap.detail] if gap else [],
            **tree_context(self.request, causes, chosen.event_id),
        )

    def _masked(self, order: OrderDetail | None) -> OrderDetail | None:
        return order and masked_order(
            order,
            with_personal=self.may(permissions.VIEW_PII),
            with_addresses=permissions.may_view_addresses(self.request.user),
        )


def _bounded(
    topics: Sequence[ComparedTopic],
) -> tuple[list[tuple[ComparedTopic, SafeString, SafeString]], int]:
    """Return the topics that the page shows, those with changes first of all, and how many more.

    Each topic has the list items of its facts before and after. They are made here, because an
    order of 200 lines has thousands, and a template takes three times as long.
    """
    changed_first = sorted(range(len(topics)), key=lambda number: not topics[number].change)
    shown = sorted(changed_first[:_MOST_TOPICS])
    rows = [_row(topics[number]) for number in shown]
    return rows, len(topics) - len(shown)


def _row(topic: ComparedTopic) -> tuple[ComparedTopic, SafeString, SafeString]:
    before = _facts(topic.before, "del")
    return topic, before, _facts(topic.after, "ins") if topic.change else before


def _facts(facts: Sequence[Fact], mark: str) -> SafeString:
    """Return the list items of ``facts``, with the element ``mark`` around what differs."""
    other = f"<li><{mark}><bdi>", f"</bdi></{mark}></li>"
    items = (
        f"{other[0]}{escape(grouped(fact.text))}{other[1]}"
        if fact.differs
        else f"<li><bdi>{escape(grouped(fact.text))}</bdi></li>"
        for fact in facts
    )
    # Each item is escaped.
    return SafeString("".join(items))


def _complaint(mistake: BodyError) -> str:
    """Return a mistake in people's words, with the label of its field if it is about one."""
    label = field_label(mistake["pointer"].removeprefix("#").removeprefix("/"))
    return f"{label}: {mistake['detail']}." if label else f"{mistake['detail']}."
