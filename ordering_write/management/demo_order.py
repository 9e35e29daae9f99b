"""The scenario of one demo order, whose steps follow from its number alone."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ordering_write import client
from ordering_write.domain.events import OrderCreated, OrderItemAdded
from ordering_write.management.demo import (
    ADMIN,
    CLERK,
    CUSTOMER,
    CUSTOMERS,
    PRODUCTS,
    WAREHOUSE,
    Login,
    demo_id,
)

# Gives a command of this type and payload for a login, at a time (UTC).
Give = Callable[[Login, datetime, type[client.Command], Mapping[str, Any]], client.CommandResult]

# The cases among fifty orders, by the remainder of the order's number.
_CASES = {
    3: "cancelled by the customer",
    9: "never paid",
    12: "return rejected",
    14: "backordered",
    16: "paid after it had expired",
    18: "exchanged",
    22: "discounted and sent back",
    24: "return waiting",
    27: "parcel lost",
    28: "charged back",
    33: "one line cancelled",
    36: "refund bounced",
    37: "sent in two parcels",
    39: "cancelled by the customer",
    41: "edited",
    47: "held for review",
}
_RETURNED = (
    "discounted and sent back",
    "return rejected",
    "return waiting",
    "refund bounced",
    "exchanged",
)
_EVERY = 50
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class OrderScenario:
    """The steps of one order."""

    def __init__(self, number: int, *, placed_at: datetime, give: Give) -> None:
        self.number = number
        self.time = placed_at
        self._give = give
        self.case = _CASES.get(number % _EVERY, "")
        # The customer with a login has the youngest order of a demo of hundreds, which is pending.
        self.customer = CUSTOMERS[(number + 1) % len(CUSTOMERS)]
        is_own = demo_id(self.customer) == CUSTOMER.customer_id
        self.buyer = CUSTOMER if is_own else CLERK
        # Most orders are confirmed at once and sent in one parcel.
        self.is_plain = not self.case and number % 10 not in (5, 9)
        self.lines: list[UUID] = []
        self.quantities: list[int] = []
        self.total = Decimal(0)

    def steps(self) -> Iterator[datetime]:
        """Give the commands of the order; yields the time before each step."""
        yield self.time
        self._place()
        if self.case == "cancelled by the customer":
            yield self.after(_HOUR)
            self.do(
                self.buyer, client.CancelOrder, reason="Ordered by mistake", reason_code="customer"
            )
            return
        if self.case in ("never paid", "paid after it had expired"):
            yield from self._expire()
            return
        yield from self._prepare()
        if self.case == "held for review" and self._is_held:
            # The review is still open.
            return
        if self.case == "backordered":
            yield from self._wait_for_units()
        yield from self._deliver()
        if self.number % 2:
            yield self.after(14 * _DAY)
            self.do(CLERK, client.CompleteOrder)

    @property
    def _is_held(self) -> bool:
        return self.number // _EVERY % 2 == 1

    # --- Before the dispatch ----------------------------------------------------------------------
    def _place(self) -> None:
        currency = "USD" if self.number % 6 == 5 else "EUR"
        is_backordered = self.case == "backordered"
        on_sale = [
            product
            for product in PRODUCTS
            if product.currency == currency and product.backorderable == is_backordered
        ]
        items = []
        for line in range(1 + self.number % 3 if len(on_sale) > 2 else 1):
            product = on_sale[(self.number * 3 + line) % len(on_sale)]
            quantity = 3 if is_backordered else 1 + (self.number + line) % 3
            self.total += Decimal(product.list_price) * quantity
            items.append(
                {
                    "product_id": demo_id(product.sku),
                    "quantity": quantity,
                    "unit_price": product.list_price,
                }
            )
            self.quantities.append(quantity)
        waits_for_money = self.case in ("never paid", "paid after it had expired")
        # Customers can't ask for a longer reservation.
        is_reserved_longer = self.buyer is CLERK and waits_for_money
        events = self.do(
            self.buyer,
            client.CreateOrder,
            customer_id=demo_id(self.customer),
            currency=currency,
            items=items,
            shipping_address=self._address(),
            reserve_for=2 * _DAY if is_reserved_longer else None,
            auto_confirm=self.is_plain and self.buyer is CLERK,
        )
        self.order_id = next(event.order_id for event in events if isinstance(event, OrderCreated))
        self.lines = [event.line_id for event in events if isinstance(event, OrderItemAdded)]

    def _address(self, *, door: str = "") -> dict[str, str]:
        return {
            "name": self.customer,
            "line1": f"{self.number + 1} Example Street",
            "line2": door,
            "city": "Sampleton",
            "postal_code": f"{10000 + self.number}",
            "country": "ES",
        }

    def _expire(self) -> Iterator[datetime]:
        if self.buyer is CUSTOMER:
            yield self.after(2 * _DAY)
            self.do(ADMIN, client.CancelOrder, reason="Never paid", reason_code="expired")
        else:
            yield self.after(2 * _DAY + _HOUR)
            self.do(ADMIN, client.ExpireOrder)
        if self.case == "paid after it had expired":
            yield self.after(_DAY)
            self._pay()
            refund_id = self._request_refund(self.total, "Paid after the order had expired")
            yield self.after(_DAY)
            self._refund(refund_id)

    def _prepare(self) -> Iterator[datetime]:
        yield self.after(10 * _HOUR / 60)
        if self.case == "discounted and sent back":
            self._take_off(Decimal("5.00"))
        self._pay()
        if self.case == "held for review":
            self.do(CLERK, client.PlaceHold, reason="fraud_review", note="Three cards were tried.")
            if self._is_held:
                return
            yield self.after(5 * _HOUR)
            self.do(CLERK, client.ReleaseHold, note="The bank says it is fine.")
        if self.case == "edited":
            yield self.after(_HOUR)
            self.do(CLERK, client.AddNote, text="Please ring twice.", visibility="customer")
            self.do(
                CLERK, client.ChangeShippingAddress, shipping_address=self._address(door="Door 2")
            )
            self.do(CLERK, client.TagOrder, tag="gift")
        if self.is_plain and self.buyer is CLERK:
            return
        yield self.after(2 * _HOUR)
        self.do(CLERK, client.ConfirmOrder)
        if self.case == "one line cancelled":
            yield self.after(_HOUR)
            items = [{"line_id": self.lines[0], "quantity": 1}]
            if sum(self.quantities) > 1:
                self.do(CLERK, client.CancelOrderItems, items=items, reason="One less will do")
                self.quantities[0] -= 1
        yield self.after(12 * _HOUR)
        if not (self.is_plain or self.case):
            self.do(WAREHOUSE, client.StartProcessing)

    def _wait_for_units(self) -> Iterator[datetime]:
        """Expect the units of the order on a day, and receive them on that day."""
        units = {"product_id": demo_id("SOFA-1"), "quantity": sum(self.quantities)}
        expected_at = self.time + 10 * _DAY
        self._give(WAREHOUSE, self.time, client.ExpectStock, {**units, "at": expected_at})
        yield self.after(10 * _DAY)
        self._give(WAREHOUSE, self.time, client.ReceiveStock, units)

    def _take_off(self, amount: Decimal) -> None:
        discount = {"kind": "discount", "label": "Welcome", "amount": amount}
        self.do(CLERK, client.AdjustOrder, **discount, reason="First order")
        self.total -= amount

    def _pay(
        self, amount: Decimal | None = None, *, kind: str = "captured", reference: str = ""
    ) -> None:
        self.do(
            ADMIN,
            client.RecordPayment,
            payment_id=f"demo-{self.number}",
            kind=kind,
            amount=amount or self.total,
            method="card",
            reference=reference,
        )

    # --- Delivery ----------------------------------------------------------------------------
    def _deliver(self) -> Iterator[datetime]:
        yield self.after(16 * _HOUR)
        if self.is_plain:
            self.do(WAREHOUSE, client.UpdateOrderStatus, status="shipped")
            yield self.after(2 * _DAY)
            self.do(WAREHOUSE, client.UpdateOrderStatus, status="delivered")
            return
        in_two = self.case in ("sent in two parcels", "parcel lost") and sum(self.quantities) > 1
        parcels = [self._send(self._units(only_one=in_two))]
        if in_two:
            yield self.after(2 * _DAY)
            parcels.append(self._send(self._units(rest=True)))
        yield self.after(2 * _DAY)
        lost = parcels.pop() if self.case == "parcel lost" and in_two else None
        for shipment_id in parcels:
            self.do(WAREHOUSE, client.ConfirmDelivery, shipment_id=shipment_id)
        if lost:
            yield self.after(5 * _DAY)
            self.do(WAREHOUSE, client.FailDelivery, shipment_id=lost, outcome="lost")
            refund_id = self._request_refund(Decimal("9.90"), "A parcel was lost")
            yield self.after(_DAY)
            self._refund(refund_id)
        if self.case in _RETURNED:
            yield from self._return()
        if self.case == "charged back":
            yield from self._charge_back()

    def _charge_back(self) -> Iterator[datetime]:
        """Let the bank take the payment back; half of the disputes are won."""
        yield self.after(12 * _DAY)
        self._pay(kind="chargeback", reference=f"dispute-{self.number}")
        if self._is_held:
            yield self.after(6 * _DAY)
            self._pay(kind="chargeback_reversed", reference=f"dispute-{self.number}")

    def _units(self, *, only_one: bool = False, rest: bool = False) -> list[dict[str, Any]]:
        quantities = list(self.quantities)
        if only_one:
            quantities = [1 if line == self._first else 0 for line in range(len(quantities))]
        if rest:
            quantities[self._first] -= 1
        return [
            {"line_id": line_id, "quantity": quantity}
            for line_id, quantity in zip(self.lines, quantities, strict=True)
            if quantity
        ]

    @property
    def _first(self) -> int:
        return next(line for line, quantity in enumerate(self.quantities) if quantity)

    def _send(self, items: list[dict[str, Any]]) -> UUID:
        [packed, *_] = self.do(WAREHOUSE, client.CreateShipment, items=items, carrier="Sample Post")
        shipment_id: UUID = packed.shipment_id  # type: ignore[attr-defined]
        tracking = f"SP{self.number:05}{len(items)}"
        self.do(
            WAREHOUSE,
            client.DispatchShipment,
            shipment_id=shipment_id,
            tracking_number=tracking,
            tracking_url=f"https://carrier.example/{tracking}",
        )
        return shipment_id

    # --- Returns ------------------------------------------------------------------------------
    def _return(self) -> Iterator[datetime]:
        yield self.after(2 * _DAY)
        line_id = self.lines[self._first]
        items = [{"line_id": line_id, "quantity": 1, "reason": "unwanted"}]
        new_lines = self._new_lines() if self.case == "exchanged" else []
        [requested] = self.do(self.buyer, client.RequestReturn, items=items, exchange_for=new_lines)
        return_id: UUID = requested.return_id  # type: ignore[attr-defined]
        if self.case == "return waiting":
            return
        yield self.after(4 * _DAY)
        if self.case == "return rejected":
            self.do(WAREHOUSE, client.RejectReturn, return_id=return_id, reason="It was used.")
            return
        item = {"line_id": line_id, "restock": 1}
        [returned, *_] = self.do(WAREHOUSE, client.ReceiveReturn, return_id=return_id, items=[item])
        amount = returned.items[0].amount.amount  # type: ignore[attr-defined]
        if new_lines:
            self._exchange(return_id, due=Decimal(new_lines[0]["unit_price"]) - amount)
            return
        refund_id = self._request_refund(amount, "Sent back", return_id=return_id)
        yield self.after(_DAY)
        self._refund(refund_id)
        if self.case == "refund bounced":
            yield self.after(2 * _DAY)
            self._refund(refund_id, outcome="failed", reason="account closed")

    def _new_lines(self) -> list[dict[str, Any]]:
        """Return a line for a unit that costs more, or less, than the unit that is returned."""
        sku = "LAMP-1" if self.number // _EVERY % 2 else "MUG-1"
        price = next(product.list_price for product in PRODUCTS if product.sku == sku)
        return [{"product_id": demo_id(sku), "quantity": 1, "unit_price": price}]

    def _exchange(self, return_id: UUID, *, due: Decimal) -> None:
        """Place the exchange, of which ``due`` isn't paid by the credit; if negative, refund it."""
        events = self.do(CLERK, client.PlaceExchange, return_id=return_id)
        if due < 0:
            refund_id = self._request_refund(-due, "The exchange costs less", return_id=return_id)
            self._refund(refund_id)
        self.order_id = next(event.order_id for event in events if isinstance(event, OrderCreated))
        if due > 0:
            self._pay(due)
        self.do(CLERK, client.ConfirmOrder)

    def _request_refund(self, amount: Decimal, reason: str, **fields: Any) -> UUID:
        [requested] = self.do(ADMIN, client.RequestRefund, amount=amount, reason=reason, **fields)
        refund_id: UUID = requested.refund_id  # type: ignore[attr-defined]
        return refund_id

    def _refund(self, refund_id: UUID, *, outcome: str = "settled", reason: str = "") -> None:
        reference = f"refund-{self.number}"
        report = {"outcome": outcome, "reason": reason, "reference": reference}
        self.do(ADMIN, client.RecordRefund, refund_id=refund_id, **report)

    # --- Time and commands ---------------------------------------------------------------------
    def after(self, pause: timedelta) -> datetime:
        """Let time pass; returns the new time."""
        self.time += pause
        return self.time

    def do(
        self, login: Login, command_type: type[client.Command], /, **payload: Any
    ) -> client.CommandResult:
        if command_type is not client.CreateOrder:
            payload["order_id"] = self.order_id
        return self._give(login, self.time, command_type, payload)
