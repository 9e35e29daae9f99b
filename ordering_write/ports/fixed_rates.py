"""The adapter of TaxPort that takes the rates from a file."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.fields.text import identity
from ordering_write.domain.prices import Tax
from ordering_write.ports.tax import TaxDraft


class FixedRates:
    """Taxes each line and charge by the rates of TAX_RATES_FILE for the shipping address.

    Rates of the region come before those of the country, then rates of the tax class before those
    of all other products; without any rate there is no tax. Prices contain the taxes if
    PRICES_INCLUDE_TAX is set. An order without an address is taxed at STORE_COUNTRY.
    """

    def __init__(self) -> None:
        if not settings.TAX_RATES:
            raise ImproperlyConfigured("FixedRates needs TAX_RATES_FILE, the file of the rates")
        self._taxes: dict[tuple[str, str, str], list[Tax]] = defaultdict(list)
        for rate in settings.TAX_RATES:
            place = f"{rate.country} {rate.region}".strip()
            self._taxes[rate.country, identity(rate.region), rate.tax_class].append(
                Tax(
                    label=rate.label,
                    jurisdiction=place,
                    rate=rate.rate,
                    included=settings.PRICES_INCLUDE_TAX,
                )
            )

    def taxes(self, draft: TaxDraft) -> Mapping[UUID, Sequence[Tax]]:
        address = draft.ship_to()
        country = address.country if address else settings.STORE_COUNTRY
        region = identity(address.region) if address else ""
        return {
            part.part_id: self._taxes_at(country, region, part.tax_class) for part in draft.parts
        }

    def tax_classes(self) -> frozenset[str]:
        return frozenset(tax_class for _, _, tax_class in self._taxes if tax_class)

    def _taxes_at(self, country: str, region: str, tax_class: str) -> Sequence[Tax]:
        for place in ((country, region), (country, "")):
            for name in (tax_class, ""):
                if taxes := self._taxes.get((*place, name)):
                    return taxes
        return ()
