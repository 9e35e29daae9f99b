"""A new order as people type it: the customer, the address, the lines, and what is wrong with them.

The draft is made anew from the fields of the form for each answer; nothing is stored.
"""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

from django import forms
from django.conf import settings
from pydantic import ValidationError

from config.accounts.models import User
from config.http.admin import parse_uuid
from config.http.answers.problems import detail_of
from config.http.input.validation import errors_of
from ordering_read import permissions
from ordering_read.queries.customers import CustomerView
from ordering_read.screens.draft_customer import (
    Ask,
    customer_of_id,
    customers_named,
    has_email,
    past_addresses,
)
from ordering_read.screens.draft_lines import (
    DraftLine,
    PriceRights,
    check_discounts,
    check_prices,
    check_units,
    currency_of,
    find_products,
    list_prices,
    read_lines,
    searchable,
)
from ordering_read.screens.order_forms import (
    NEW,
    PICKED_UP,
    AddressForm,
    CustomerForm,
    Missing,
    TermsForm,
    first_fields,
    unanswered,
)
from ordering_write import client
from ordering_write.client import commands as c

# The fields of a line, by their names in the command.
_LINE_FIELDS = {
    "quantity": "quantity",
    "unit_price": "price",
    "price_reason": "reason",
    "discount": "discount",
}
# The buttons of the form; a change of a field sends the form without one.
_BUTTONS = ("place", "total", "more", "remove")
_CUSTOMER_FIELDS = ("name", "email", "phone")


class OrderDraft:
    """A new order as it was typed.

    ``data`` are the fields of the form with the button that sends it; empty at first. ``ask``
    answers queries within the rights of ``user``. Once people ask for the total or the order
    (``is_asked``), each field that is missing is a complaint.
    """

    def __init__(self, data: Mapping[str, str], *, user: User, ask: Ask) -> None:
        self._user, self._ask = user, ask
        is_sent = "command_id" in data
        self.button = next(filter(data.__contains__, _BUTTONS), "change" if is_sent else "")
        self.is_asked = self.button in ("total", "place")
        self.command_id = parse_uuid(data.get("command_id", "")) or uuid4()
        self.complaints: list[str] = []
        # A sentence about the whole order that is no complaint.
        self.notice = ""
        fields = {**first_fields(), **data}
        self.may_search = user.has_perm(permissions.VIEW_CUSTOMERS)
        if not self.may_search:
            fields["customer-who"] = NEW
        self.is_new_customer = fields["customer-who"] == NEW
        self.customers = self._find_customers(fields)
        self.customer = self.customers[0] if len(self.customers) == 1 else None
        is_chosen = self.customer is not None and not self.is_new_customer
        self.past_addresses = (
            past_addresses(ask, self.customer.customer_id) if self.customer and is_chosen else ()
        )
        self.address_key = self._address_key(fields)
        with_personal = user.has_perm(permissions.VIEW_PII)
        self.customer_form = CustomerForm(fields, with_personal=with_personal)
        self.address_form = AddressForm(fields, prefix="address", label_suffix="")
        self.terms_form = TermsForm(fields, prefix="terms", label_suffix="")
        self.forms = (self.customer_form, self.address_form, self.terms_form)
        for form in self.forms:
            form.full_clean()
        if self.address_key != NEW:
            # The hidden fields of another address don't count.
            self.address_form.errors.clear()
        self.lines = read_lines(data)
        self.typed_lines = find_products(self.lines, ask(searchable(self.lines)))
        self.currency = (
            self.terms_form.cleaned_data.get("currency")
            or currency_of(self.typed_lines)
            or settings.DEFAULT_CURRENCY
        )
        privileges = client.envelope(user, channel="admin")["privileges"]
        self.price_rights = PriceRights.of(privileges)
        check_units(self.typed_lines)
        check_prices(self.typed_lines, self.currency, self.price_rights)
        check_discounts(self.typed_lines, self.currency)
        self.missing = [*self._check_customer(), *self._check_lines(), *self._check_address()]
        if self.is_asked:
            for part, name, text in self.missing:
                self._add(part, name, text)

    @property
    def list_prices(self) -> str:
        """The list prices of all lines, for a hidden field."""
        return list_prices(self.lines)

    @property
    def goods(self) -> Decimal:
        """The price of the lines so far, without discounts and taxes."""
        return sum((line.value for line in self.typed_lines if line.value), Decimal(0))

    @property
    def is_complete(self) -> bool:
        """Return True if nothing is missing, and there is no complaint."""
        return not self.missing and not self.complaint_count

    @property
    def complaint_count(self) -> int:
        """The number of complaints on the page."""
        in_forms = sum(len(texts) for form in self.forms for texts in form.errors.values())
        return in_forms + sum(len(line.complaints) for line in self.lines) + len(self.complaints)

    # --- The customer and the address ----------------------------------------------------------
    def _find_customers(self, fields: Mapping[str, str]) -> Sequence[CustomerView]:
        """Return the customer that was named; several if the text doesn't say which."""
        if self.is_new_customer:
            email = fields.get("customer-email", "").strip()
            found = customers_named(self._ask, email) if "@" in email and self.may_search else []
            return [customer for customer in found if has_email(customer, email)]
        text, chosen = fields["customer-customer"].strip(), parse_uuid(fields["customer_id"])
        if chosen and fields["customer_text"] == text:
            return customer_of_id(self._ask, chosen)
        return customers_named(self._ask, text)

    def _check_customer(self) -> list[Missing]:
        form = self.customer_form
        if self.is_new_customer:
            questions = {"name": "Type the customer's name.", "email": "Type an e-mail address."}
            return unanswered(form, questions)
        text = form.cleaned_data.get("customer", "")
        if not text:
            question = "Type the name of a customer, or choose “A new customer”."
            return [Missing(form, "customer", question)]
        if self.customer is None and self.customers:
            return [Missing(form, "customer", "Choose one of the customers below.")]
        if self.customer is None:
            problem = f"No customer matches “{text}”. Choose “A new customer” to register one."
            form.add_error("customer", problem)
        elif self.customer.status == "blocked":
            form.add_error("customer", f"{self.customer.name} is blocked and can't order.")
        elif self.customer.status == "erased":
            form.add_error("customer", "This customer was erased; that is final.")
        return []

    def _address_key(self, fields: Mapping[str, str]) -> str:
        """Return the choice of the address: for another customer, that of the last order."""
        keys = [past.key for past in self.past_addresses]
        choice, customer_id = fields["address"], self.customer and str(self.customer.customer_id)
        is_typed = bool(fields.get("address-line1", "").strip())
        if choice == PICKED_UP or choice in keys:
            return choice
        if keys and not is_typed and customer_id != fields["address_of"]:
            return keys[0]
        return NEW

    def _check_address(self) -> list[Missing]:
        is_needed = not self.typed_lines or any(map(_is_sent, self.typed_lines))
        if self.address_key != NEW or not is_needed:
            return []
        questions = {"line1": "Type the street and number.", "city": "Type the city."}
        return unanswered(self.address_form, questions)

    def _address(self) -> dict[str, Any] | None:
        """Return the address of the command; None if the goods are picked up or downloaded."""
        for past in self.past_addresses:
            if past.key == self.address_key:
                return past.address.model_dump()
        values = self.address_form.cleaned_data
        if self.address_key == PICKED_UP or not values.get("line1"):
            return None
        name = values.get("name") or self.customer_form.cleaned_data.get("name")
        if self.customer and not self.is_new_customer:
            name = values.get("name") or self.customer.name
        return {**values, "name": name}

    # --- The lines -----------------------------------------------------------------------------
    def _check_lines(self) -> list[Missing]:
        if self.typed_lines:
            return []
        return [Missing(self.lines[0], "product", "Choose a product.")]

    # --- The command ---------------------------------------------------------------------------
    def command(self, correlation_id: UUID) -> c.CreateOrder | None:
        """Return the command that places the order; None if it isn't complete and valid.

        Adds a complaint for each field that isn't valid.
        """
        # Nobody can use the id of another user's command.
        command_id = uuid5(self._user.pk, f"admin {self.command_id}")
        envelope = client.envelope(self._user, channel="admin")
        envelope |= {"command_id": command_id, "correlation_id": correlation_id}
        try:
            command = c.CreateOrder.model_validate({**envelope, **self._payload()})
        except ValidationError as error:
            self.add_refusal(error)
            return None
        return command if self.is_complete else None

    def _payload(self) -> dict[str, Any]:
        is_picked_up = self.address_key == PICKED_UP
        payload: dict[str, Any] = {
            "items": [line.item(picked_up=is_picked_up) for line in self._ordered_lines()],
            "currency": self.currency,
            "adjustments": [adjustment for _, adjustment in self._adjustments()],
            "note": self.terms_form.cleaned_data.get("note") or None,
            "shipping_address": self._address(),
        }
        if self.is_new_customer:
            values = self.customer_form.cleaned_data
            payload["customer"] = {name: values.get(name, "") for name in _CUSTOMER_FIELDS}
        elif self.customer:
            payload["customer_id"] = self.customer.customer_id
        return payload

    def _ordered_lines(self) -> list[DraftLine]:
        return [line for line in self.typed_lines if line.offer]

    def _adjustments(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the adjustments of the order, each with its field of the form."""
        values = self.terms_form.cleaned_data
        labels = {"discount": values.get("discount_label") or "Discount", "shipping": "Shipping"}
        return [
            (name, {"kind": name, "label": label, "amount": values[name].replace(",", ".")})
            for name, label in labels.items()
            if values.get(name)
        ]

    # --- Complaints ----------------------------------------------------------------------------
    def add_refusal(self, error: Exception) -> None:
        """Show why the order is refused, beside the fields that ``error`` points to."""
        members: Mapping[str, Any] = getattr(error, "members", dict[str, Any])()
        problems = errors_of(error) if isinstance(error, ValidationError) else members.get("errors")
        shortages = {item["product_id"]: item["available"] for item in members.get("shortages", ())}
        for line in self._ordered_lines():
            if line.offer and str(line.offer.product_id) in shortages:
                units = max(shortages[str(line.offer.product_id)], 0)
                self._add(line, "quantity", f"Only {units} available.")
        if not shortages:
            for problem in problems or [{"pointer": "", "detail": detail_of(error)}]:
                self._complain(problem["pointer"].strip("#/"), problem["detail"])

    def _complain(self, pointer: str, text: str) -> None:
        """Add a complaint at the field that the JSON pointer names, or for the whole order."""
        match pointer.split("/"):
            case ["items", number, *names]:
                name = _LINE_FIELDS.get(names[0] if names else "", "product")
                self._add(self._ordered_lines()[int(number)], name, text)
            case ["items"]:
                self._add(self.lines[0], "product", text)
            case ["customer", name] if self.is_new_customer:
                self._add(self.customer_form, name, text)
            case ["customer" | "customer_id"]:
                field = "email" if self.is_new_customer else "customer"
                self._add(self.customer_form, field, text)
            case ["shipping_address", *names] if self.address_key == NEW:
                self._add(self.address_form, names[0] if names else "line1", text)
            case ["adjustments", number, *_]:
                self._add(self.terms_form, self._adjustments()[int(number)][0], text)
            case ["currency" | "note" as name]:
                self._add(self.terms_form, name, text)
            case _:
                self.complaints.append(text)

    def _add(self, part: forms.Form | DraftLine, name: str, text: str) -> None:
        """Add a complaint at a field, unless the field has one, or is yet to be filled in."""
        is_missing = any(part is other and name == field for other, field, _ in self.missing)
        if part.errors.get(name) or (is_missing and not self.is_asked):
            return
        if isinstance(part, DraftLine):
            part.complain(name, text)
        else:
            part.add_error(name, text)


def digest(command: c.CreateOrder) -> str:
    """Return a digest of what ``command`` orders: a form knows by it which order it has shown."""
    payload = command.model_dump_json(exclude=set(c.Command.model_fields))
    return hashlib.sha256(payload.encode()).hexdigest()


def _is_sent(line: DraftLine) -> bool:
    return line.offer is None or line.offer.requires_shipping
