"""The form that asks for a return: the units of each line, and the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from config.http.answers.problems import detail_of, is_anticipated
from ordering_read.my.base import CommandPage
from ordering_read.my.words import REASONS
from ordering_read.queries.order_lines import OrderLineView
from ordering_write import client


@dataclass
class ReturnRow:
    """A line of the form: at most ``most`` units, what was typed, and why it can't be used.

    The rows are no fields of a Django form, which takes a millisecond for each field.
    """

    line: OrderLineView
    most: int
    quantity: str
    reason: str
    error: str = ""

    @classmethod
    def of(cls, line: OrderLineView, typed: Mapping[str, str]) -> "ReturnRow":
        """Return the row of ``line``, with what was ``typed`` into the form."""
        row = cls(
            line=line,
            most=returnable_units(line),
            quantity=typed.get(f"quantity-{line.line_id}", "").strip() or "0",
            reason=typed.get(f"reason-{line.line_id}", ""),
        )
        is_number = row.quantity.isascii() and row.quantity.isdecimal() and len(row.quantity) < 9
        if not is_number or int(row.quantity) > row.most:
            row.error = f"Give a number from 0 to {row.most}."
        elif int(row.quantity) and row.reason not in REASONS:
            row.error = "Choose a reason."
        return row

    @property
    def item(self) -> dict[str, Any] | None:
        """The part of the command for this line; None without units."""
        if self.error or not int(self.quantity):
            return None
        quantity, reason = int(self.quantity), self.reason
        return {"line_id": self.line.line_id, "quantity": quantity, "reason": reason}


class ReturnPage(CommandPage):
    """Asks which units the customer sends back, and why; requests the return."""

    template_name = "my/return.html"

    problem = ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            rows=self._rows(), reasons=list(REASONS.items()), problem=self.problem, **kwargs
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        rows = self._rows()
        items = [item for row in rows if (item := row.item)]
        if any(row.error for row in rows):
            self.problem = "Correct the items that are marked."
        elif not items:
            self.problem = "Say how many you want to send back of at least one item."
        else:
            try:
                done = "The return is asked for."
                self.give(client.RequestReturn, done=done, order_id=self.order.id, items=items)
                return redirect(self.url)
            except Exception as error:
                if not is_anticipated(error):
                    raise
                self.problem = detail_of(error)
        return self.get(request, *args, **kwargs)

    def _rows(self) -> list[ReturnRow]:
        typed = self.request.POST.dict()
        return [ReturnRow.of(line, typed) for line in self.order.items if returnable_units(line)]


def returnable_units(line: OrderLineView) -> int:
    """Return the number of units of ``line`` that the customer has and may send back."""
    return line.delivered - line.return_requested - line.returned
