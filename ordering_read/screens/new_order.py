"""New order, the page on which people place an order for a customer on the telephone."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from config.http.admin import list_url, page_url, parse_uuid
from config.http.answers.problems import detail_of, is_anticipated
from ordering_read import permissions
from ordering_read.admin import kept_forms
from ordering_read.admin.base import money, user_of
from ordering_read.admin.labels import command_slug
from ordering_read.models import CustomerSummary, OrderSummary
from ordering_read.screens.base import Screen
from ordering_read.screens.draft_customer import customer_of_id
from ordering_read.screens.order_draft import OrderDraft, digest
from ordering_read.screens.running_total import RunningTotal, running_total
from ordering_write import client
from ordering_write.client import commands as c
from ordering_write.published import IdempotencyKeyReusedError

# The projections that a click waits for, and for how many seconds.
_WAITS_FOR = ("order_view", "order_timeline", "customer_view")
_WAIT_SECONDS = 2.0

_CHANGED = "The order has changed since its total was shown. Check the total, then place the order."
_PLACED_BEFORE = (
    "This form has placed an order before, and nothing was placed now. To place what you see as "
    "another order, press “Place the order” again."
)


class NewOrderScreen(Screen):
    """The form for a new order, and its running total.

    Every button sends the whole form, and the page shows it again with what it found out. Only
    "Place the order" changes something. It places exactly the order whose total was shown. The
    script asks for answers ``in_place``; other answers are redirects to the page with the form as a
    kept form.
    """

    template_name = "screens/new_order.html"
    title = "New order"
    needed_permission = "ordering_write.create_order"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        kept = kept_forms.find_or_tell(request)
        if kept is not None:
            return self._show(kept.texts, kept.refusal)
        return self._answer(self._draft(self._first_customer()))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        fields = {name: str(request.POST[name]) for name in request.POST}
        if "in_place" in fields:
            return self._show(fields)
        refusal = ""
        if "place" in fields:
            command = self._command(self._draft(fields))
            try:
                if command and fields.get("shown_order") == digest(command):
                    answer = self._place(command)
                    kept_forms.drop(request)
                    return answer
                refusal = _CHANGED if command else ""
            except IdempotencyKeyReusedError:
                refusal = _PLACED_BEFORE
            except Exception as error:
                if not is_anticipated(error):
                    raise
                refusal = f"The order wasn't placed. {detail_of(error)}"
        return redirect(kept_forms.keep(request, refusal))

    def _show(self, fields: Mapping[str, str], notice: str = "") -> HttpResponse:
        """Return the page with the form as it was sent, and its total if it is complete."""
        draft = self._draft(fields)
        draft.notice = notice
        if notice == _PLACED_BEFORE:
            draft.command_id = uuid4()
        command = self._command(draft)
        if command is None:
            return self._answer(draft)
        try:
            preview = client.preview(command, user=user_of(self.request))
        except Exception as error:
            if not is_anticipated(error):
                raise
            draft.add_refusal(error)
            return self._answer(draft)
        total = running_total(preview, draft.currency)
        return self._answer(draft, total=total, shown_order=digest(command))

    def _command(self, draft: OrderDraft) -> c.CreateOrder | None:
        return draft.command(self.request.correlation_id)  # type: ignore[attr-defined]

    def _draft(self, fields: Mapping[str, str]) -> OrderDraft:
        return OrderDraft(fields, user=user_of(self.request), ask=self.ask)

    def _first_customer(self) -> dict[str, str]:
        """Return the fields that name the customer of ``?customer=…``; none without one."""
        customer_id = parse_uuid(self.request.GET.get("customer", ""))
        if customer_id is None or not self.may(permissions.VIEW_CUSTOMERS):
            return {}
        for customer in customer_of_id(self.ask, customer_id):
            text = customer.email if self.may(permissions.VIEW_PII) else customer.name
            return {
                "customer-customer": text,
                "customer_text": text,
                "customer_id": str(customer_id),
            }
        return {}

    def _place(self, command: c.CreateOrder) -> HttpResponse:
        """Place the order, and return a redirect to its page. Raises a DomainError."""
        problem = ""
        try:
            result = client.dispatch(
                command, user=user_of(self.request), wait_for=_WAITS_FOR, timeout=_WAIT_SECONDS
            )
        except client.NotYetVisibleError as error:
            result, problem = error.result, error.because
        created: Any = next(event for event in result if event.type == "OrderCreated")
        number = created.order_number
        if problem and self.may(permissions.VIEW_ORDERS):
            text = f"Order {number} is placed, but no page shows it yet, because {problem}."
            messages.warning(self.request, text)
            return redirect(list_url(OrderSummary))
        before = " before" if result.replayed else ""
        messages.success(self.request, f"Order {number} was placed{before}.")
        if not self.may(permissions.VIEW_ORDERS):
            return redirect("screens:new-order")
        return redirect(page_url(OrderSummary, created.order_id))

    def _answer(
        self, draft: OrderDraft, *, total: RunningTotal | None = None, shown_order: str = ""
    ) -> HttpResponse:
        full_form = f"admin:ordering_read_{OrderSummary._meta.model_name}_command_new"
        customer = draft.customer
        focus = _focus(draft, total)
        for field in (field for form in draft.forms for field in form):
            if field.id_for_label == focus:
                field.field.widget.attrs["autofocus"] = True
        context = self.get_context_data(
            draft=draft,
            total=total,
            shown_order=shown_order,
            goods=money(draft.goods, draft.currency) if draft.goods else "",
            focus=focus,
            signature=kept_forms.signature(user_of(self.request)),
            customer_url=customer and page_url(CustomerSummary, customer.customer_id),
            with_personal=self.may(permissions.VIEW_PII),
            full_form_url=reverse(full_form, args=[command_slug(c.CreateOrder)]),
        )
        return self.render_to_response(context)


def _focus(draft: OrderDraft, total: RunningTotal | None) -> str:
    """Return the id of the element that gets the focus, an empty text for none.

    The first complaint comes first, then the total. A new page begins with the customer, or with
    the first product if the customer is named.
    """
    match draft.button:
        case "more" | "remove":
            return next((line.field_id for line in draft.lines if line.is_empty), "")
        case "total" | "place":
            return "total-heading" if total else _first_complaint(draft) or "total-heading"
        case "change":
            return ""
    if draft.customer:
        return "line-0-product"
    return "id_customer-customer" if draft.may_search else "id_customer-name"


def _first_complaint(draft: OrderDraft) -> str:
    """Return the id of the first field with a complaint, in the order of the page."""
    customer, address, terms = (
        [bound.id_for_label for bound in form if bound.errors] for form in draft.forms
    )
    lines = [
        f"line-{line.number}-{name}"
        for line in draft.lines
        for name in ("product", "quantity", "price", "discount", "reason")
        if line.errors.get(name)
    ]
    return next(iter([*customer, *lines, *address, *terms]), "")
