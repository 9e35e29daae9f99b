"""The columns of a product in stock, and what follows from them."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from ordering_write.domain.allocation import LineKey, backorders_of
from ordering_write.domain.events import Expectation
from ordering_write.domain.values import Money
from ordering_write.models.aggregate import Aggregate


class StockState(Aggregate):
    """The data of a product in stock: its columns, and the reservations that are loaded.

    Each family of moves is a subclass of this class alone; ``StockItem`` inherits from all.
    """

    stream_prefix = "stock"
    id_field = "product_id"
    always_included: ClassVar[frozenset[str]] = frozenset(
        {"on_hand", "reserved", "available", "backordered"}
    )

    product_id = models.UUIDField(primary_key=True)
    sku = models.CharField("SKU", max_length=64, unique=True)
    name = models.CharField(max_length=200)
    on_hand = models.BigIntegerField(default=0)
    reserved = models.PositiveBigIntegerField(default=0)
    backordered = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Reserved units that no stock backs yet."
    )
    expected = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="[{at, quantity}], the earliest first.",
    )
    list_price = models.DecimalField(max_digits=19, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    other_prices = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text="{currency: list price}, besides the first currency.",
    )
    discontinued_at = models.DateTimeField(null=True, blank=True)
    tax_class = models.CharField(max_length=40, blank=True, default="", db_default="")
    reorder_point = models.PositiveIntegerField(default=0)
    backorderable = models.BooleanField(default=False)
    requires_shipping = models.BooleanField(default=True, db_default=True)

    class Meta:
        abstract = True
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(backorderable=True) | Q(on_hand__gte=F("reserved")),
                name="stock_item_never_oversold",
            ),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The units of the loaded reservations, those of them that are backordered, and the keys of
        # changed reservations.
        self.reservations: dict[LineKey, int] = {}
        self.backorders: dict[LineKey, int] = {}
        self._changed: set[LineKey] = set()
        # True for a new product: each of its reservations was made in memory.
        self.has_all_reservations = False

    def __str__(self) -> str:
        return self.sku

    @property
    def available(self) -> int:
        """Units that can be reserved."""
        return self.on_hand - self.reserved

    @property
    def price(self) -> Money | None:
        """The list price in the first currency; None for a product without a price."""
        if self.list_price is None:
            return None
        return Money.of(Decimal(self.list_price), self.currency)

    @property
    def prices(self) -> dict[str, Money]:
        """The list prices by currency, the first currency first."""
        others = {
            currency: Money.of(Decimal(amount), currency)
            for currency, amount in self.other_prices.items()
        }
        return {self.price.currency: self.price, **others} if self.price else others

    def price_in(self, currency: str) -> Money | None:
        """Return the list price in ``currency``, else the one in the first currency."""
        return self.prices.get(currency, self.price)

    @property
    def expectations(self) -> list[Expectation]:
        """The units that are expected to come in, the earliest first."""
        return [Expectation.model_validate(item) for item in self.expected]

    def backed(self, key: LineKey) -> int:
        """Return the units of a line that are on hand for it."""
        return self.reservations.get(key, 0) - self.backorders.get(key, 0)

    def is_allocated(self) -> bool:
        """Return False if an earlier release has moved units without allocating them."""
        return self.backordered == max(self.reserved - max(self.on_hand, 0), 0)

    def allocate_anew(self) -> None:
        """Allocate the units on hand by the rule for all lines, which must be loaded."""
        backorders = backorders_of(self.on_hand, self.reservations)
        self._changed |= {
            key
            for key in self.reservations
            if backorders.get(key, 0) != self.backorders.get(key, 0)
        }
        self.backorders = backorders
        self.backordered = sum(backorders.values())

    def outcome(self) -> dict[str, Any]:
        return {
            "on_hand": self.on_hand,
            "reserved": self.reserved,
            "available": self.available,
            "backordered": self.backordered,
            "expected": self.expectations,
        }
