"""The command handlers on PostgreSQL: their effect on rows, and their refusals."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from ordering_write.domain.commands import (
    AdjustStock,
    BlockCustomer,
    ChangeCustomerDetails,
    ReceiveStock,
    RegisterCustomer,
    RegisterStockItem,
    SetListPrice,
    SetStockPolicy,
    UnblockCustomer,
)
from ordering_write.domain.errors import (
    AmountTooLargeError,
    CustomerBlockedError,
    CustomerNotFoundError,
    DomainError,
    DuplicateCustomerError,
    DuplicateEmailError,
    DuplicateProductError,
    DuplicateReferenceError,
    DuplicateSkuError,
    FieldError,
    InsufficientInventoryError,
    InvalidAmountError,
    InvalidTransitionError,
    MixedCurrencyError,
    OrderAlreadyShippedError,
    OrderNotFoundError,
    PriceMismatchError,
    ProductNotFoundError,
    ShopOnlyError,
    UnknownCustomerError,
    UnknownProductError,
    VersionConflictError,
    WouldGoNegativeError,
)
from ordering_write.domain.events import OrderStatus
from ordering_write.models import (
    CommandRecord,
    Customer,
    Order,
    OrderItem,
    OutboxEvent,
    Reservation,
    StockItem,
)
from tests.kit import (
    ADDRESS,
    NOW,
    USER,
    cancel,
    check_rows_equal_log,
    create_order,
    dispatch,
    move,
    placed_order,
    registered_customer,
    registered_product,
)
from tests.proof import size

pytestmark = pytest.mark.usefixtures("db")


def refusal_of(command, error: type[DomainError]) -> Any:
    """Return the refusal of ``command``, which must leave no trace."""
    before = (OutboxEvent.objects.count(), CommandRecord.objects.count(), Order.objects.count())
    with pytest.raises(error) as caught:
        dispatch(command)
    after = (OutboxEvent.objects.count(), CommandRecord.objects.count(), Order.objects.count())
    assert after == before
    assert type(caught.value) is error
    return caught.value


def stock_of(product: StockItem) -> tuple[int, int]:
    product.refresh_from_db()
    return product.on_hand, product.reserved


# --- Placing -------------------------------------------------------------------------------------
def test_placing_an_order_raises_events_and_reserves_stock(customer):
    lamp, chair = registered_product(10), registered_product(5)
    events = dispatch(create_order(customer, (lamp, 3), (chair, 1)))
    assert [event.type for event in events] == [
        "OrderCreated",
        "OrderItemAdded",
        "OrderItemAdded",
        "StockReserved",
        "StockReserved",
    ]
    order = Order.objects.get(pk=events[0].order_id)
    assert (order.status, order.total, order.currency, order.version) == (
        "pending",
        Decimal("79.60"),
        "EUR",
        3,
    )
    assert stock_of(lamp) == (10, 3)
    assert Reservation.objects.filter(order_id=order.pk).count() == 2
    check_rows_equal_log()


def test_an_order_is_placed_with_every_optional_field(customer):
    product = registered_product(10)
    order = placed_order(
        customer,
        (product, 2),
        adjustments=[
            {"kind": "shipping", "label": "Parcel", "amount": "4.90"},
            {"kind": "discount", "label": "Spring", "amount": "10"},
        ],
        tags=["gift", "gift", "vip"],
        note="Ring twice.\nThen wait.",
        auto_confirm=True,
        reserve_for="P1D",
        external_reference="shop-1",
        billing_address=ADDRESS,
    )
    assert (order.status, order.total, order.tags) == (
        "confirmed",
        Decimal("34.70"),
        ["gift", "vip"],
    )
    check_rows_equal_log()


def test_an_unknown_customer_or_product_is_refused_with_a_pointer(customer):
    product = registered_product()
    stranger = Customer(customer_id=uuid7())
    error = refusal_of(create_order(stranger, (product, 1)), UnknownCustomerError)
    assert isinstance(error, FieldError)
    assert error.members()["errors"] == [
        {
            "pointer": "#/customer_id",
            "detail": f"There is no customer {stranger.pk}.",
            "code": "unknown-customer",
        }
    ]
    missing = uuid7()
    error = refusal_of(create_order(customer, (product, 1), (missing, 1)), UnknownProductError)
    assert (error.pointer, str(error)) == (
        "#/items/1/product_id",
        f"There is no product {missing}.",
    )


def test_a_shortage_sums_the_lines_of_each_product(customer):
    lamp, chair = registered_product(5, sku="LAMP"), registered_product(1, sku="CHAIR")
    mug = registered_product(9, sku="MUG")
    error = refusal_of(
        create_order(customer, (lamp, 3), (chair, 2), (mug, 9), (lamp, 3)),
        InsufficientInventoryError,
    )
    assert str(error) == (
        "Insufficient inventory: 6 requested of LAMP, 5 available;"
        " 2 requested of CHAIR, 1 available."
    )
    assert error.members()["shortages"] == [
        {"product_id": str(lamp.pk), "requested": 6, "available": 5},
        {"product_id": str(chair.pk), "requested": 2, "available": 1},
    ]
    assert stock_of(lamp) == (5, 0)


def test_two_lines_of_one_product_have_a_reservation_each(customer):
    lamp = registered_product(6)
    order = placed_order(customer, (lamp, 3), (lamp, 3))
    assert stock_of(lamp) == (6, 6)
    dispatch(cancel(order))
    assert stock_of(lamp) == (6, 0)
    assert not Reservation.objects.exists()
    check_rows_equal_log()


@pytest.mark.parametrize(
    ("currency", "price"), [("JPY", "10.5"), ("EUR", "1.999"), ("KWD", "1.9999")]
)
def test_a_price_with_more_decimals_than_its_currency_is_refused(customer, currency, price):
    product = registered_product()
    items = [{"product_id": product.pk, "quantity": 1, "unit_price": price}]
    error = refusal_of(create_order(customer, items=items, currency=currency), InvalidAmountError)
    assert (error.pointer, str(error)) == (
        "#/items/0/unit_price",
        f"{price} has more decimals than {currency}.",
    )


@pytest.mark.parametrize(
    ("currency", "price", "total"),
    [("JPY", "105", "315"), ("EUR", "0.10", "0.30"), ("KWD", "1.999", "5.997")],
)
def test_the_total_of_an_order_is_exact_in_every_currency(customer, currency, price, total):
    items = [{"product_id": registered_product().pk, "quantity": 3, "unit_price": price}]
    order = placed_order(customer, items=items, currency=currency)
    assert (order.total, order.currency) == (Decimal(total), currency)


@pytest.mark.parametrize("quantities", [(2,), (1, 1)])
def test_an_order_total_that_is_too_large_is_refused(customer, quantities):
    product = registered_product(on_hand=10)
    items = [
        {"product_id": product.pk, "quantity": quantity, "unit_price": "9" * 15}
        for quantity in quantities
    ]
    error = refusal_of(create_order(customer, items=items), AmountTooLargeError)
    assert error.pointer == f"#/items/{len(quantities) - 1}/unit_price"


def test_an_adjustment_that_makes_the_total_impossible_is_refused(customer):
    product = registered_product(10)

    def order_with_adjustment(kind, amount):
        adjustment = {"kind": kind, "label": "Any", "amount": amount}
        return create_order(customer, (product, 1), adjustments=[adjustment])

    assert (
        refusal_of(order_with_adjustment("fee", "0.001"), InvalidAmountError).pointer
        == "#/adjustments/0/amount"
    )
    error = refusal_of(order_with_adjustment("discount", "19.91"), InvalidAmountError)
    assert str(error) == "The order would cost less than nothing."
    refusal_of(order_with_adjustment("fee", "9" * 15), AmountTooLargeError)
    dispatch(order_with_adjustment("discount", "19.90"))


def test_a_discount_can_be_given_before_the_charge_that_the_discount_is_on(customer):
    product = registered_product(10)
    adjustments = [
        {"kind": "discount", "label": "Any", "amount": "20.90"},
        {"kind": "shipping", "label": "Any", "amount": "3.00"},
    ]

    for given in (adjustments, adjustments[::-1]):
        created = dispatch(create_order(customer, (product, 1), adjustments=given))[0]
        assert Order.load(created.order_id).total == Decimal("2.00")


def test_an_external_reference_is_unique_per_source(customer):
    product = registered_product(10)
    placed_order(customer, (product, 1), external_reference="shop-1")
    duplicate = create_order(customer, (product, 1), external_reference="shop-1")
    error = refusal_of(duplicate, DuplicateReferenceError)
    assert error.pointer == "#/external_reference"
    assert stock_of(product) == (10, 1)
    placed_order(customer, (product, 1), external_reference="shop-1", user_id=uuid7())


@pytest.mark.proof
def test_placing_and_cancelling_take_as_many_statements_for_many_lines_as_for_one(customer):
    products = [registered_product(10) for _ in range(size(40, full=200))]
    counts = []
    for number in (1, len(products)):
        command = create_order(customer, *((product, 1) for product in products[:number]))
        with CaptureQueriesContext(connection) as statements:
            order_id = dispatch(command)[0].order_id
        counts.append(len(statements))
        order = Order.objects.get(pk=order_id)
        with CaptureQueriesContext(connection) as statements:
            dispatch(cancel(order))
        counts.append(len(statements))
    assert counts[:2] == counts[2:]
    # Placing: the record of the command, the customer, the products, the number, and all writes
    # between the marks of the transaction. Cancelling: the record, the order with its lines, the
    # products with their reservations, and all writes.
    assert counts[:2] == [7, 8]
    check_rows_equal_log()


# --- Customers -----------------------------------------------------------------------------------
def test_a_customer_pays_the_list_price(customer):
    product = registered_product(10, list_price="20.00")
    error = refusal_of(
        create_order(customer, (product, 1), customer_scope=customer.pk), PriceMismatchError
    )
    assert error.members()["errors"][0]["pointer"] == "#/items/0/unit_price"
    assert (error.members()["sent"], error.members()["expected"]) == ("19.90", "20.00")
    listed = registered_product(10, list_price="19.90")
    placed_order(customer, (listed, 1), customer_scope=customer.pk)
    unpriced = registered_product(10, list_price=None)
    refusal_of(
        create_order(customer, (unpriced, 1), customer_scope=customer.pk), PriceMismatchError
    )
    dollars = registered_product(10, currency="USD")
    refusal_of(create_order(customer, (dollars, 1), customer_scope=customer.pk), MixedCurrencyError)
    placed_order(customer, (dollars, 1), (unpriced, 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("adjustments", [{"kind": "discount", "label": "Mine", "amount": "19.90"}]),
        ("auto_confirm", True),
        ("reserve_for", "P365D"),
        ("tags", ["vip"]),
    ],
)
def test_a_customer_cannot_set_the_fields_of_the_shop(customer, name, value):
    product = registered_product()
    command = create_order(customer, (product, 1), customer_scope=customer.pk, **{name: value})
    assert refusal_of(command, ShopOnlyError).pointer == f"#/{name}"


def test_a_customer_acts_on_their_own_orders_only(customer):
    product = registered_product()
    other = registered_customer()
    foreign = placed_order(other, (product, 1))
    refusal_of(create_order(other, (product, 1), customer_scope=customer.pk), UnknownCustomerError)
    refusal_of(cancel(foreign, customer_scope=customer.pk), OrderNotFoundError)
    refusal_of(move(foreign, OrderStatus.CANCELLED, customer_scope=customer.pk), OrderNotFoundError)
    own = placed_order(customer, (product, 1))
    dispatch(cancel(own, customer_scope=customer.pk))


def test_a_customer_cannot_cancel_an_order_that_is_being_picked(customer):
    order = placed_order(customer, (registered_product(), 1), auto_confirm=True)
    dispatch(move(order, OrderStatus.PROCESSING))
    for command in (cancel(order), move(order, OrderStatus.CANCELLED)):
        scoped = command.model_copy(update={"customer_scope": customer.pk})
        error = refusal_of(scoped, InvalidTransitionError)
        assert str(error).endswith("is being picked; ask the shop to cancel it.")
    dispatch(cancel(order))


# --- Moving --------------------------------------------------------------------------------------
def test_cancelling_an_order_releases_its_stock(customer):
    product = registered_product(10)
    order = placed_order(customer, (product, 4))
    events = dispatch(cancel(order))
    assert [event.type for event in events] == ["OrderCancelled", "StockReleased"]
    assert stock_of(product) == (10, 0)
    error = refusal_of(cancel(order), InvalidTransitionError)
    assert str(error) == f"Order {order.order_number} is cancelled already."


def test_a_shipped_order_has_left_the_stock_and_cannot_be_cancelled(customer):
    product = registered_product(10)
    order = placed_order(customer, (product, 4), auto_confirm=True)
    events = dispatch(move(order, OrderStatus.SHIPPED))
    assert [event.type for event in events] == [
        "ShipmentCreated",
        "ShipmentDispatched",
        "StockDispatched",
    ]
    assert stock_of(product) == (6, 0)
    assert str(refusal_of(cancel(order), OrderAlreadyShippedError)) == "Cannot cancel shipped order"
    for status in (OrderStatus.DELIVERED, OrderStatus.COMPLETED):
        dispatch(move(order, status))
    order.refresh_from_db()
    assert order.status == OrderStatus.COMPLETED
    check_rows_equal_log()


def test_an_unknown_order_is_not_found():
    missing = Order(id=uuid7())
    assert str(refusal_of(cancel(missing), OrderNotFoundError)) == "Order not found"
    refusal_of(move(missing, OrderStatus.CONFIRMED), OrderNotFoundError)


def test_a_command_with_another_expected_version_is_refused(customer):
    order = placed_order(customer, (registered_product(), 1))
    refusal_of(cancel(order, expected_version=1), VersionConflictError)
    dispatch(cancel(order, expected_version=2))


# --- Stock and customers -------------------------------------------------------------------------
def test_registering_an_existing_product_is_refused():
    fields = {"user_id": USER, "name": "Lamp", "on_hand": 5}
    product = registered_product(sku="LAMP-1")
    refusal_of(RegisterStockItem(sku="LAMP-1", **fields), DuplicateSkuError)
    refusal_of(
        RegisterStockItem(sku="LAMP-2", product_id=product.pk, **fields), DuplicateProductError
    )
    refusal_of(
        RegisterStockItem(sku="LAMP-3", list_price="1.5", currency="JPY", **fields),
        InvalidAmountError,
    )


def test_receiving_stock_adds_units():
    product = registered_product(on_hand=1_000_000_000)
    fields = {"user_id": USER, "timestamp": NOW}
    for _ in range(2):
        dispatch(ReceiveStock(product_id=product.pk, quantity=1_000_000, **fields))
    assert stock_of(product) == (1_002_000_000, 0)
    refusal_of(ReceiveStock(product_id=uuid7(), quantity=1, **fields), ProductNotFoundError)
    refusal_of(
        ReceiveStock(product_id=product.pk, quantity=1, expected_version=1, **fields),
        VersionConflictError,
    )
    check_rows_equal_log()


def test_adjusting_stock_stops_at_the_reserved_units(customer):
    product = registered_product(on_hand=10)
    placed_order(customer, (product, 4))
    fields = {"user_id": USER, "product_id": product.pk, "reason": "count"}
    [adjusted] = dispatch(AdjustStock(delta=-6, comment="Two boxes were empty", **fields))
    assert (adjusted.delta, adjusted.on_hand, adjusted.available) == (-6, 4, 0)
    assert stock_of(product) == (4, 4)
    refusal_of(AdjustStock(delta=-1, **fields), WouldGoNegativeError)
    refusal_of(AdjustStock(delta=1, expected_version=1, **fields), VersionConflictError)
    refusal_of(AdjustStock(delta=1, **{**fields, "product_id": uuid7()}), ProductNotFoundError)
    check_rows_equal_log()


def test_a_list_price_without_a_currency_is_in_the_first_currency():
    product = registered_product(list_price="20.00", currency="USD")
    fields = {"user_id": USER, "product_id": product.pk}
    for price, currency, expected in (
        ("21.00", None, ["21.00 USD"]),
        ("3000", "JPY", ["21.00 USD", "3000 JPY"]),
        (None, None, ["3000 JPY"]),
        ("3100", None, ["3100 JPY"]),
        (None, "JPY", []),
        ("22.00", None, ["22.00 EUR"]),
    ):
        [changed] = dispatch(SetListPrice(list_price=price, currency=currency, **fields))
        assert [f"{item.amount} {item.currency}" for item in changed.prices] == expected
    assert dispatch(SetListPrice(list_price="22.00", **fields)) == []
    error = refusal_of(SetListPrice(list_price="22.001", **fields), InvalidAmountError)
    assert (error.pointer, str(error)) == ("#/list_price", "22.001 has more decimals than EUR.")
    check_rows_equal_log()


def test_a_stock_policy_keeps_fields_left_out(customer):
    product = registered_product(on_hand=1)
    fields = {"user_id": USER, "product_id": product.pk}
    dispatch(SetStockPolicy(backorderable=True, **fields))
    dispatch(SetStockPolicy(reorder_point=5, **fields))
    product.refresh_from_db()
    assert (product.backorderable, product.reorder_point) == (True, 5)
    placed_order(customer, (product, 3))
    refusal_of(SetStockPolicy(backorderable=False, **fields), WouldGoNegativeError)
    check_rows_equal_log()


def test_registering_an_existing_customer_is_refused():
    customer = registered_customer(email="Robin@Example.com")
    fields = {"user_id": USER, "name": "Robin Sample"}
    refusal_of(RegisterCustomer(email="robin@example.com", **fields), DuplicateEmailError)
    refusal_of(
        RegisterCustomer(email="kim@example.com", customer_id=customer.pk, **fields),
        DuplicateCustomerError,
    )


def test_changing_customer_details_keeps_fields_left_out(customer):
    other = registered_customer(email="kim@example.com")
    fields = {"user_id": USER, "customer_id": customer.pk}
    [changed] = dispatch(ChangeCustomerDetails(name="Robin Other", phone="555 0100", **fields))
    assert (changed.name, changed.email, changed.phone) == ("Robin Other", None, "555 0100")
    assert dispatch(ChangeCustomerDetails(name="Robin Other", **fields)) == []
    refusal_of(ChangeCustomerDetails(email="Kim@example.com", **fields), DuplicateEmailError)
    refusal_of(ChangeCustomerDetails(name="R", expected_version=1, **fields), VersionConflictError)
    refusal_of(
        ChangeCustomerDetails(name="R", customer_scope=other.pk, **fields), CustomerNotFoundError
    )
    dispatch(ChangeCustomerDetails(name="R", customer_scope=customer.pk, **fields))
    check_rows_equal_log()


def test_a_blocked_customer_orders_again_once_unblocked(customer):
    product = registered_product()
    fields = {"user_id": USER, "customer_id": customer.pk}
    dispatch(BlockCustomer(reason="Doesn't pay", **fields))
    refusal_of(create_order(customer, (product, 1)), CustomerBlockedError)
    dispatch(UnblockCustomer(reason="Has paid", **fields))
    placed_order(customer, (product, 1))
    stranger = {"user_id": USER, "customer_id": uuid7()}
    refusal_of(BlockCustomer(reason="Who?", **stranger), CustomerNotFoundError)
    check_rows_equal_log()


# --- The database holds the rules a second time --------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"shipped": F("ordered") + 1}, "order_item_units_accounted_for"),
        ({"delivered": 1}, "order_item_arrivals_were_shipped"),
        ({"returned": 1}, "order_item_returns_were_delivered"),
    ],
)
def test_the_database_refuses_a_line_that_breaks_its_ledger(customer, changes, constraint):
    order = placed_order(customer, (registered_product(), 1))
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        OrderItem._base_manager.filter(order=order).update(**changes)


def test_the_database_refuses_oversold_stock():
    product = registered_product(5)
    with pytest.raises(IntegrityError, match="stock_item_never_oversold"), transaction.atomic():
        StockItem._base_manager.filter(pk=product.pk).update(reserved=6)
    backorderable = registered_product(0, backorderable=True)
    assert placed_order(registered_customer(), (backorderable, 3)).status == "pending"
