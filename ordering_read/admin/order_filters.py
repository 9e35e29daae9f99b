"""The filters of the list of orders, as a form. The query of the API checks and applies them."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from pydantic import ValidationError

from config.http.filter_forms import ANY, FilterForm, FormFilter, day_input
from ordering_read import permissions
from ordering_read.admin.labels import WORK
from ordering_read.models import OrderSummary
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.work import Work, select_work
from ordering_write.published import OrderStatus
from ordering_write.published import events as e

_WORK = (Work.TO_CONFIRM, Work.ON_HOLD, Work.RETURNS, Work.CREDIT_OWED, Work.ATTENTION)


class _SeveralField(forms.ChoiceField):
    """A select of one value; a link can name several, with commas between them."""

    def valid_value(self, value: Any) -> bool:
        return all(super(_SeveralField, self).valid_value(part) for part in value.split(","))

    def words(self, value: str) -> str:
        choices = dict(self.choices)  # type: ignore[arg-type]
        return " or ".join(str(choices.get(part, part)) for part in value.split(","))


def _states(states: Iterable[Any], label: str) -> _SeveralField:
    choices = [ANY, *((state.value, state.value.replace("_", " ")) for state in states)]
    return _SeveralField(required=False, label=label, choices=choices)


def _choice(label: str, **choices: str) -> forms.ChoiceField:
    return forms.ChoiceField(required=False, label=label, choices=[ANY, *choices.items()])


def _text(label: str, length: int, help_text: str = "") -> forms.CharField:
    return forms.CharField(required=False, label=label, max_length=length, help_text=help_text)


class OrderFilterForm(FilterForm):
    work = forms.ChoiceField(
        required=False, label="To do", choices=[ANY, *((kind.value, WORK[kind]) for kind in _WORK)]
    )
    status = _states(OrderStatus, "Status")
    payment_status = _states(e.PaymentStatus, "Payment")
    fulfilment_status = _states(e.FulfilmentStatus, "Fulfilment")
    return_status = _states(e.ReturnStatus, "Returns")
    on_hold = _choice("Hold", true="on hold", false="not on hold")
    balance = _choice("Balance", due="to be paid", owed="owed to the customer")
    needs_attention = _choice("Money", true="needs attention", false="needs no attention")
    placed_after = forms.CharField(required=False, label="Placed from", widget=day_input())
    placed_before = forms.CharField(required=False, label="Placed before", widget=day_input())
    currency = _text("Currency", 3)
    sku = _text("SKU", 64)
    tag = _text("Tag", 40)
    assigned_to = _text("Assigned to", 150)
    metadata = _text("Metadata", 541, "A key, or key=value")
    customer_id = forms.UUIDField(required=False, label="Customer", widget=forms.HiddenInput)
    product = forms.UUIDField(required=False, label="Product", widget=forms.HiddenInput)

    def __init__(self, data: Any, *, request: HttpRequest) -> None:
        super().__init__(data, request=request)
        self._sees_personal = request.user.has_perm(permissions.VIEW_PII)
        if not self._sees_personal:
            del self.fields["metadata"]
        for name, field in self.fields.items():
            value = data.get(name, "")
            if isinstance(field, _SeveralField) and "," in value and field.valid_value(value):
                field.choices = [*field.choices, (value, field.words(value))]  # type: ignore[misc]

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()

    def clean(self) -> None:
        if "metadata" in self.data and not self._sees_personal:
            self.add_error(None, "You may not see metadata, and so not filter by it.")
        values = {name: value for name, value in self.cleaned_data.items() if value}
        self._work = Work(work) if (work := values.pop("work", None)) else None
        if customer := values.pop("customer_id", None):
            values["customer"] = customer
        try:
            self._query = ListOrders(with_personal=self._sees_personal, **values)
        except ValidationError as error:
            for details in error.errors(include_url=False, include_input=False):
                self.add_error(str(details["loc"][0]), f"{details['msg']}.")

    def select(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        selected: QuerySet[Any] = self._query.select(rows)
        return select_work(selected, self._work) if self._work else selected

    def words(self, name: str, value: str) -> str:
        if name == "customer_id" and self.is_valid():
            orders = OrderSummary.live.filter(customer_id=self.cleaned_data[name])
            return orders.values_list("customer_name", flat=True).first() or "without orders"
        if name == "product":
            return "one product"
        field = self.fields[name]
        if isinstance(field, _SeveralField):
            return field.words(value)
        return super().words(name, value)


class OrderFilter(FormFilter):
    form_class = OrderFilterForm
