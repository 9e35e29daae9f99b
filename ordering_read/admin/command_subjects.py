"""What the forms of commands know of orders, products and customers, so that little is typed."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from config.accounts.models import User
from ordering_read import permissions
from ordering_read.admin.base import uuid_in
from ordering_read.admin.command_forms import Choices, Row, Subject
from ordering_read.models import CustomerSummary, InventoryLevel, OrderLine, OrderSummary
from ordering_write.client import commands as c
from ordering_write.published import quantize

# As many proposals as a page can carry; what isn't among them can be typed all the same.
_PROPOSALS = 300
# Lines of an order that doesn't exist yet; more are added to it afterwards.
_NEW_LINES = 5

# Units of a line that a command can be about.
_UNITS: Mapping[type[c.Command], Callable[[OrderLine], int]] = {
    c.CreateShipment: lambda line: line.quantity - line.cancelled - line.packed - line.shipped,
    c.CancelOrderItems: lambda line: line.quantity - line.cancelled - line.packed - line.shipped,
    c.RequestReturn: lambda line: line.delivered - line.return_requested - line.returned,
    c.ReceiveReturn: lambda line: line.return_requested,
    c.RequestRefund: lambda line: line.quantity,
}
# The field of a command that names a part of the order, and where those parts are.
_PARTS = {
    "shipment_id": "shipments",
    "refund_id": "refunds",
    "return_id": "returns",
    "note_id": "notes",
}


class Products(Subject):
    """Products are named by their SKU; their price is the list's unless another one is typed."""

    def __init__(self, user: User) -> None:
        self.user = user

    def suggestions(self, kind: type[c.Command], name: str) -> Choices | None:
        if name != "product_id":
            return None
        levels = InventoryLevel.live.order_by("sku")[:_PROPOSALS]
        return [(level.sku, f"{level.name}, {_offer(level)}") for level in levels]

    def may_be_empty(self, kind: type[c.Command], name: str) -> bool:
        return name == "unit_price"

    def complete(self, kind: type[c.Command], payload: dict[str, Any]) -> dict[str, Any]:
        for item in payload.get("items", [payload]):
            if "product_id" in item:
                level = _product(item["product_id"])
                item["product_id"] = level.product_id
                if level.list_price is not None:
                    price = quantize(level.list_price, level.currency)
                    item.setdefault("unit_price", str(price))
                    if "currency" in kind.model_fields:
                        payload.setdefault("currency", level.currency)
        return payload


class NewOrder(Products):
    """An order that somebody places for a customer, on the telephone for instance."""

    def suggestions(self, kind: type[c.Command], name: str) -> Choices | None:
        if name != "customer_id":
            return super().suggestions(kind, name)
        customers = CustomerSummary.live.filter(status=CustomerSummary.Status.ACTIVE)
        with_email = self.user.has_perm(permissions.VIEW_PII)
        return [
            (each.email if with_email else str(each.customer_id), each.name)
            for each in customers.order_by("-registered_at")[:_PROPOSALS]
        ]

    def rows(self, kind: type[c.Command], name: str) -> Sequence[Row]:
        if name != "items":
            return ()
        return [
            Row(name=str(number), label=f"Line {number}") for number in range(1, _NEW_LINES + 1)
        ]

    def complete(self, kind: type[c.Command], payload: dict[str, Any]) -> dict[str, Any]:
        if "customer_id" in payload:
            payload["customer_id"] = _customer(payload["customer_id"])
        return super().complete(kind, payload)


class OfOrder(Products):
    """A command about an order that exists."""

    def __init__(self, user: User, order: OrderSummary) -> None:
        super().__init__(user)
        self.order = order
        lines = OrderLine.objects.filter(projection_id=order.projection_id, order_id=order.order_id)
        self.lines = list(lines.order_by("number"))

    def fixed(self, kind: type[c.Command]) -> Mapping[str, Any]:
        return {"order_id": self.order.order_id}

    def initial(self, kind: type[c.Command]) -> Mapping[str, Any]:
        order = self.order
        known: dict[str, Any] = {"assignee": order.assigned_to, "currency": order.currency}
        if kind is c.RecordPayment:
            known["amount"] = quantize(max(order.balance, Decimal(0)), order.currency)
        elif kind is c.RequestRefund:
            # What is owed to the customer, or else all that was paid.
            owed = max(-order.balance, Decimal(0)) or order.captured - order.refunded
            known["amount"] = quantize(owed, order.currency)
        elif kind is c.ChangeShippingAddress and permissions.may_view_addresses(self.user):
            known |= order.shipping_address
        return known

    def choices(self, kind: type[c.Command], name: str) -> Choices | None:
        if name == "line_id":
            return [(str(line.line_id), self._line(line)) for line in self.lines]
        if name in _PARTS:
            parts = reversed(getattr(self.order, _PARTS[name]))
            return [(part[name], _part(part, self.order.currency)) for part in parts]
        if kind is c.UntagOrder and name == "tag":
            return [(tag, tag) for tag in self.order.tags]
        return None

    def names(self) -> Mapping[str, str]:
        return {str(line.line_id): self._line(line) for line in self.lines}

    def rows(self, kind: type[c.Command], name: str) -> Sequence[Row]:
        counted = _UNITS[kind]
        return [
            Row(
                name=str(line.line_id),
                label=self._line(line),
                known={"line_id": line.line_id},
                # A refund is often not about units.
                initial={} if name == "lines" else dict.fromkeys(("quantity", "restock"), units),
            )
            for line in self.lines
            if (units := counted(line)) > 0
        ]

    def _line(self, line: OrderLine) -> str:
        return f"{line.number}. {line.name} ({line.sku})"


class OfProduct(Subject):
    """A command about a product that exists."""

    def __init__(self, level: InventoryLevel) -> None:
        self.level = level

    def fixed(self, kind: type[c.Command]) -> Mapping[str, Any]:
        return {"product_id": self.level.product_id}

    def initial(self, kind: type[c.Command]) -> Mapping[str, Any]:
        level = self.level
        known = {name: getattr(level, name) for name in ("reorder_point", "backorderable")}
        if level.list_price is not None:
            known |= {"list_price": quantize(level.list_price, level.currency)}
        return {**known, "currency": level.currency}


class OfCustomer(Subject):
    """A command about a customer that exists."""

    def __init__(self, user: User, customer: CustomerSummary) -> None:
        self.user = user
        self.customer = customer

    def fixed(self, kind: type[c.Command]) -> Mapping[str, Any]:
        return {"customer_id": self.customer.customer_id}

    def initial(self, kind: type[c.Command]) -> Mapping[str, Any]:
        if not self.user.has_perm(permissions.VIEW_PII):
            return {}
        return {name: getattr(self.customer, name) for name in ("name", "email", "phone")}


class Unregistered(Subject):
    """A product or a customer that doesn't exist yet: it gets an id of its own."""

    def fixed(self, kind: type[c.Command]) -> Mapping[str, Any]:
        return {name: None for name in ("product_id", "customer_id") if name in kind.model_fields}


def _offer(level: InventoryLevel) -> str:
    if level.list_price is None:
        return f"{level.available} available"
    price = quantize(level.list_price, level.currency)
    return f"{level.available} available, {price} {level.currency}"


def _product(typed: str) -> InventoryLevel:
    product_id = uuid_in(typed)
    named = {"sku": typed.strip()} if product_id is None else {"product_id": product_id}
    level = InventoryLevel.live.filter(**named).first()
    if level is None:
        raise ValidationError(f"There is no product {typed}.")
    return level


def _customer(typed: str) -> UUID:
    customer_id = uuid_in(typed)
    named = (
        {"email__iexact": typed.strip()} if customer_id is None else {"customer_id": customer_id}
    )
    customer = CustomerSummary.live.filter(**named).first()
    if customer is None:
        raise ValidationError(f"There is no customer {typed}.")
    return customer.customer_id


def _part(part: Mapping[str, Any], currency: str) -> str:
    """A shipment, a refund, a return or a note, in a line."""
    units = sum(item["quantity"] for item in part.get("items", ()))
    said = [
        part.get("status", ""),
        f"{units} units" if units else "",
        f"{part['amount']} {currency}" if "amount" in part else "",
        part.get("tracking_number", ""),
        (part.get("text") or "")[:60],
        (part.get("requested_at") or part.get("packed_at") or part.get("at") or "")[:16],
    ]
    return ", ".join(text for text in said if text)
