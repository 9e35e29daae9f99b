"""Moves of a product's price and policy."""

from datetime import datetime

from ordering_write.domain import events as e
from ordering_write.domain.errors import WouldGoNegativeError
from ordering_write.domain.values import Money
from ordering_write.models.stock.state import StockState


class Selling(StockState):
    """Moves that say how a product is sold."""

    class Meta(StockState.Meta):
        abstract = True

    def rename(self, name: str, *, now: datetime) -> None:
        """Give the product another name; the current name changes nothing."""
        if name != self.name:
            self._raise_event(
                e.StockItemRenamed(
                    timestamp=now, product_id=self.pk, name=name, name_before=self.name
                )
            )

    def discontinue(self, *, now: datetime) -> None:
        """Take no more orders; reserved units are still sent. Changes nothing the second time."""
        if self.discontinued_at is None:
            self._raise_event(e.StockItemDiscontinued(timestamp=now, product_id=self.pk))

    def reinstate(self, *, now: datetime) -> None:
        """Take orders again. Changes nothing for a product that isn't discontinued."""
        if self.discontinued_at is not None:
            self._raise_event(e.StockItemReinstated(timestamp=now, product_id=self.pk))

    def set_list_price(
        self, price: Money | None, *, currency: str | None = None, now: datetime
    ) -> None:
        """Set the list price of a unit in one currency, None to remove it.

        The current price changes nothing. ``currency`` says which price is removed, by default the
        one in the first currency.
        """
        currency = price.currency if price else currency or self.currency
        prices = self.prices
        if prices.get(currency) == price:
            return
        if price is None:
            del prices[currency]
        else:
            prices[currency] = price
        self._raise_event(
            e.ListPriceChanged(
                timestamp=now,
                product_id=self.pk,
                list_price=price,
                prices=list(prices.values()),
            )
        )

    def set_tax_class(self, tax_class: str | None, *, now: datetime) -> None:
        """Set the tax class of the product, None for none; the current one changes nothing."""
        if (tax_class or "") != self.tax_class:
            self._raise_event(
                e.TaxClassChanged(timestamp=now, product_id=self.pk, tax_class=tax_class)
            )

    def set_policy(
        self,
        *,
        reorder_point: int,
        backorderable: bool,
        requires_shipping: bool | None = None,
        now: datetime,
    ) -> None:
        """Set the reorder point, and whether the product can be oversold and requires shipping.

        None leaves ``requires_shipping`` as it is. Raises WouldGoNegativeError when the product is
        oversold and ``backorderable`` is False.
        """
        if requires_shipping == self.requires_shipping:
            requires_shipping = None
        policy = (reorder_point, backorderable)
        if policy == (self.reorder_point, self.backorderable) and requires_shipping is None:
            return
        if not backorderable and self.available < 0:
            raise WouldGoNegativeError(
                f"{-self.available} units of {self.sku} are oversold; receive them first."
            )
        self._raise_event(
            e.StockPolicyChanged(
                timestamp=now,
                product_id=self.pk,
                reorder_point=reorder_point,
                backorderable=backorderable,
                requires_shipping=requires_shipping,
            )
        )
