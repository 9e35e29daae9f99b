"""The query for what customers can order again, and at which price."""

from decimal import Decimal
from uuid import UUID

from ordering_read.models import InventoryLevel
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.inventory import AvailabilityView


class OfferView(AvailabilityView):
    """A product as it is sold today; more units than are available, if it is `backorderable`."""

    backorderable: bool

    def price_in(self, currency: str) -> Decimal | None:
        """Return the list price of a unit in ``currency``; None if it has none."""
        return next((price.amount for price in self.prices if price.currency == currency), None)


class GetOffers(Query[tuple[OfferView, ...]]):
    """Get the products of these ids, without those that the shop doesn't know."""

    product_ids: tuple[UUID, ...]


@handles(GetOffers)
class GetOffersHandler(QueryHandler[GetOffers, tuple[OfferView, ...]]):
    """Reads the products in one statement."""

    def handle(self, query: GetOffers) -> tuple[OfferView, ...]:
        rows = InventoryLevel.live.filter(product_id__in=query.product_ids)
        return tuple(map(OfferView.of_row, rows))
