"""The form contexts of orders, products and customers, filled from the read models."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property, reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q

from config.accounts.models import User
from config.fields.text import identity_key
from config.http.admin import parse_uuid
from ordering_read import permissions
from ordering_read.admin.base import money
from ordering_read.admin.command_forms import Choices, FormContext, FormRow
from ordering_read.admin.labels import FIELD_GROUPS, PRODUCT_HELP
from ordering_read.admin.order_money import refundable
from ordering_read.models import CustomerSummary, InventoryLevel, OrderLine, OrderSummary
from ordering_read.queries.filters import is_identifier
from ordering_write.client import commands as c
from ordering_write.published import quantize

# The most suggestions that a page lists. People can type other values.
_MAX_SUGGESTIONS = 300
# Lines on the form of a new order. People can add more lines to the order afterwards.
_NEW_LINES = 5


def _ordered_units(line: OrderLine) -> int:
    return line.quantity


# Number of a line's units that each command accepts. Other commands accept all ordered units.
_UNITS: Mapping[type[c.Command], Callable[[OrderLine], int]] = {
    c.CreateShipment: lambda line: line.open if line.requires_shipping else 0,
    c.HandOverItems: lambda line: 0 if line.requires_shipping else line.open,
    c.CancelOrderItems: lambda line: line.open,
    c.RequestReturn: lambda line: line.delivered - line.return_requested - line.returned,
    c.ReceiveReturn: lambda line: line.return_requested,
}
# Fields of commands that name an embedded document, with the order's list of such documents.
_DOCUMENTS = {
    "shipment_id": "shipments",
    "refund_id": "refunds",
    "return_id": "returns",
    "note_id": "notes",
    "adjustment_id": "adjustments",
}
# The statuses of the documents that each command accepts; other commands accept all.
_STATUSES: Mapping[type[c.Command], Collection[str]] = {
    c.DispatchShipment: {"packed"},
    c.VoidShipment: {"packed"},
    c.UpdateTracking: {"packed", "dispatched"},
    c.ConfirmDelivery: {"dispatched"},
    c.FailDelivery: {"dispatched"},
    c.ReceiveReturn: {"requested"},
    c.RejectReturn: {"requested"},
}
# Commands about some of the units: people type them, unless there is one line only.
_ABOUT_SOME: Collection[type[c.Command]] = {c.RequestReturn, c.CancelOrderItems}


class _CatalogueContext(FormContext):
    """Base of contexts in which people name products by SKU.

    The list price applies unless they type a price.
    """

    def __init__(self, user: User) -> None:
        self.user = user

    def suggestions(self, command_type: type[c.Command], name: str) -> Choices | None:
        if name != "product_id":
            return None
        return [(level.sku, f"{level.name}, {_offer(level)}") for level in self._listed]

    @cached_property
    def _listed(self) -> Sequence[InventoryLevel]:
        """The products that the form suggests."""
        return list(InventoryLevel.live.order_by("sku")[:_MAX_SUGGESTIONS])

    def is_optional(self, command_type: type[c.Command], name: str) -> bool:
        return name == "unit_price"

    def complete(self, command_type: type[c.Command], payload: dict[str, Any]) -> dict[str, Any]:
        items = [*payload.get("items", [payload]), *payload.get("exchange_for", ())]
        named = [item for item in items if "product_id" in item]
        levels = self._products([item["product_id"] for item in named]) if named else []
        for item, level in zip(named, levels, strict=True):
            item["product_id"] = level.product_id
            if level.list_price is not None:
                price = quantize(level.list_price, level.currency)
                item.setdefault("unit_price", str(price))
                if "currency" in command_type.model_fields:
                    payload.setdefault("currency", level.currency)
        return payload

    def _products(self, texts: Sequence[str]) -> list[InventoryLevel]:
        """Return the products with these SKUs or ids, by one query for those that aren't listed.

        Raises Django's ValidationError.
        """
        products = _by_key(self._listed)
        if others := [text for text in texts if not _found(products, text)]:
            conditions = (
                Q(product_id=product_id)
                if (product_id := parse_uuid(text))
                else is_identifier("sku", text.strip())
                for text in others
            )
            products |= _by_key(InventoryLevel.live.filter(reduce(or_, conditions)))
        for text in others:
            if not _found(products, text):
                raise ValidationError(f"There is no product {text}.")
        return [product for text in texts if (product := _found(products, text))]


class NewOrderContext(_CatalogueContext):
    """Context of a new order, which staff place for a customer, say on the telephone."""

    def suggestions(self, command_type: type[c.Command], name: str) -> Choices | None:
        if name != "customer_id":
            return super().suggestions(command_type, name)
        customers = CustomerSummary.live.filter(status=CustomerSummary.Status.ACTIVE)
        with_email = self.user.has_perm(permissions.VIEW_PII)
        return [
            (customer.email if with_email else str(customer.customer_id), customer.name)
            for customer in customers.order_by("-registered_at")[:_MAX_SUGGESTIONS]
        ]

    def rows(self, command_type: type[c.Command], name: str) -> Sequence[FormRow]:
        return _new_lines() if name == "items" else ()

    def complete(self, command_type: type[c.Command], payload: dict[str, Any]) -> dict[str, Any]:
        if "customer_id" in payload:
            with_email = self.user.has_perm(permissions.VIEW_PII)
            payload["customer_id"] = _customer_id(payload["customer_id"], with_email=with_email)
        return super().complete(command_type, payload)


class OrderContext(_CatalogueContext):
    """Context of a command about an existing order."""

    def __init__(self, user: User, order: OrderSummary) -> None:
        super().__init__(user)
        self.order = order

    @cached_property
    def lines(self) -> Sequence[OrderLine]:
        order = self.order
        rows = OrderLine.objects.filter(projection_id=order.projection_id, order_id=order.order_id)
        return list(rows.order_by("number"))

    def fixed(self, command_type: type[c.Command]) -> Mapping[str, Any]:
        return {"order_id": self.order.order_id}

    def initial(self, command_type: type[c.Command]) -> Mapping[str, Any]:
        order = self.order
        values: dict[str, Any] = {"assignee": order.assigned_to, "currency": order.currency}
        if command_type is c.RecordPayment:
            values["amount"] = quantize(max(order.balance, Decimal(0)), order.currency)
        elif command_type is c.RequestRefund:
            owed, most = refundable(order)
            values["amount"] = owed or most
        elif command_type is c.SetPoNumber:
            values["po_number"] = order.po_number
        elif command_type is c.ChangeShippingAddress and permissions.may_view_addresses(self.user):
            values |= order.shipping_address or {}
        return values

    def choices(self, command_type: type[c.Command], name: str) -> Choices | None:
        if name == "line_id":
            return [(str(line.line_id), _line_label(line)) for line in self.lines]
        if name in _DOCUMENTS:
            statuses = _STATUSES.get(command_type)
            return [
                (document[name], _document_label(document, self.order.currency))
                for document in reversed(getattr(self.order, _DOCUMENTS[name]))
                if statuses is None or document["status"] in statuses
            ]
        if command_type is c.UntagOrder and name == "tag":
            return [(tag, tag) for tag in self.order.tags]
        return None

    def name_of(self, part_id: str) -> str:
        labels = (_line_label(line) for line in self.lines if str(line.line_id) == part_id)
        return next(labels, "")

    def rows(self, command_type: type[c.Command], name: str) -> Sequence[FormRow]:
        if name == "exchange_for":
            return _new_lines()
        if name == "taxes":
            # The shop calculates the taxes; other ones are given over the API.
            return ()
        count_units = _UNITS.get(command_type, _ordered_units)
        lines = [(line, units) for line in self.lines if (units := count_units(line)) > 0]
        # The lines of a refund start empty, because many refunds are for no units.
        is_empty = name == "lines" or (command_type in _ABOUT_SOME and len(lines) > 1)
        return [
            FormRow(
                name=str(line.line_id),
                label=f"{_line_label(line)}, up to {units}",
                fixed={"line_id": line.line_id},
                initial={} if is_empty else dict.fromkeys(("quantity", "restock"), units),
            )
            for line, units in lines
        ]


class ProductContext(FormContext):
    """Context of a command about an existing product."""

    def __init__(self, level: InventoryLevel) -> None:
        self.level = level

    def fixed(self, command_type: type[c.Command]) -> Mapping[str, Any]:
        return {"product_id": self.level.product_id}

    def help_text(self, name: str) -> str:
        # A price of a product is in the first currency of the product, not of the shop.
        return "" if name == "currency" else PRODUCT_HELP.get(name, "")

    def initial(self, command_type: type[c.Command]) -> Mapping[str, Any]:
        level = self.level
        price = level.list_price
        return {
            "reorder_point": level.reorder_point,
            "backorderable": level.backorderable,
            "list_price": None if price is None else quantize(price, level.currency),
            "currency": level.currency,
            "tax_class": level.tax_class,
            "name": level.name,
            "requires_shipping": level.requires_shipping,
        }


class CustomerContext(FormContext):
    """Context of a command about an existing customer."""

    def __init__(self, user: User, customer: CustomerSummary) -> None:
        self.user = user
        self.customer = customer

    def fixed(self, command_type: type[c.Command]) -> Mapping[str, Any]:
        return {"customer_id": self.customer.customer_id}

    def initial(self, command_type: type[c.Command]) -> Mapping[str, Any]:
        if not self.user.has_perm(permissions.VIEW_PII):
            return {}
        return {name: getattr(self.customer, name) for name in ("name", "email", "phone")}


class RegistrationContext(FormContext):
    """Context of a new product or customer: the form leaves the id to the command.

    ``help_texts`` say what people should know about fields, by name.
    """

    def __init__(self, help_texts: Mapping[str, str]) -> None:
        self._help_texts = help_texts

    def group(self, name: str) -> str:
        return FIELD_GROUPS.get(name, "")

    def help_text(self, name: str) -> str:
        return self._help_texts.get(name, "")

    def fixed(self, command_type: type[c.Command]) -> Mapping[str, Any]:
        ids = {"product_id", "customer_id"} & set(command_type.model_fields)
        return dict.fromkeys(ids)


def _new_lines() -> list[FormRow]:
    numbers = range(1, _NEW_LINES + 1)
    return [FormRow(name=str(number), label=f"Line {number}") for number in numbers]


def _line_label(line: OrderLine) -> str:
    return f"{line.number}. {line.name} ({line.sku})"


def _offer(level: InventoryLevel) -> str:
    available = f"{level.available} available"
    if level.list_price is None:
        return available
    return f"{available}, {money(level.list_price, level.currency)}"


def _by_key(levels: Iterable[InventoryLevel]) -> dict[str, InventoryLevel]:
    """Return products by their ids and by the keys of their SKUs.

    Rows of former releases have no keys: their SKUs must have the same spelling.
    """
    keyed = ((level, level.sku_key or level.sku) for level in levels)
    return {key: level for level, sku in keyed for key in (str(level.product_id), sku)}


def _found(products: Mapping[str, InventoryLevel], text: str) -> InventoryLevel | None:
    """Return the product with this SKU or id; ``products`` are by key."""
    if product_id := parse_uuid(text):
        return products.get(str(product_id))
    return products.get(identity_key(text.strip())) or products.get(text.strip())


def _customer_id(text: str, *, with_email: bool) -> UUID:
    """Return the id of the customer with this id, or ``with_email`` with this e-mail address.

    Raises Django's ValidationError.
    """
    customers = CustomerSummary.live.all()
    if (customer_id := parse_uuid(text)) is not None:
        customers = customers.filter(customer_id=customer_id)
    elif with_email:
        customers = customers.filter(is_identifier("email", text.strip()))
    else:
        customers = customers.none()
    customer = customers.first()
    if customer is None:
        raise ValidationError(f"There is no customer {text}.")
    return customer.customer_id


def _document_label(document: Mapping[str, Any], currency: str) -> str:
    """Return the label of a shipment, a refund, a return, a note or an adjustment."""
    units = sum(item["quantity"] for item in document.get("items", ()))
    times = (document.get(name) for name in ("requested_at", "packed_at", "at"))
    texts = [
        document.get("label", ""),
        document.get("status", ""),
        f"{units} units" if units else "",
        money(Decimal(document["amount"]), currency) if "amount" in document else "",
        document.get("tracking_number", ""),
        (document.get("text") or "")[:60],
        next(filter(None, times), "")[:16],
    ]
    return ", ".join(text for text in texts if text)
