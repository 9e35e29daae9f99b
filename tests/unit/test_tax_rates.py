"""The file of tax rates, and the taxes that the adapter FixedRates says by its rates."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import tax_rates
from ordering_write import ports
from ordering_write.domain.drafts import PartToTax
from ordering_write.domain.events import PostalAddress
from ordering_write.domain.prices import Tax
from ordering_write.ports.fixed_rates import FixedRates
from ordering_write.ports.tax import TaxDraft
from tests.kit import ADDRESS, NOW

RATES = """\
# The rates of a shop.
country,region,tax_class,label,rate
ES,,,IVA 21 %,21

ES,,food,IVA 4 %,4
ES,Canarias,,IGIC 7 %,7
CA,,,GST 5 %,5
CA,Québec,,GST 5 %,5
CA,Québec,,QST 9.975 %,9.975
"""


@pytest.fixture
def rates_file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Return a function that writes a file of rates."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "rates.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


# --- The file ------------------------------------------------------------------------------------
def test_a_file_of_rates_is_read(rates_file):
    for content in (RATES, "\ufeff" + RATES.replace("\n", "\r\n")):
        rates = tax_rates.read(rates_file(content))

        assert len(rates) == 6
        assert rates[1] == ("ES", "", "food", "IVA 4 %", Decimal(4))
        assert rates[5] == ("CA", "Québec", "", "QST 9.975 %", Decimal("9.975"))


def test_a_bad_file_is_refused_by_a_sentence_that_names_the_line(rates_file, subtests):
    header = ",".join(tax_rates.COLUMNS)
    cases = {
        "land,rate\n": "line 1: the first line must be country,region,tax_class,label,rate.",
        f"{header}\nES,,,IVA\n": "line 2: there are 4 columns, not 5.",
        f"{header}\n\nXX,,,IVA,21\n": "line 3: 'XX' is no ISO 3166 code of a country such as ES.",
        f"{header}\nES,,Food!,IVA,21\n": "line 2: 'Food!' is no tax class such as food or gift",
        f"{header}\nES,,,,21\n": "line 2: the label is empty, or can't be printed.",
        f"{header}\nES,,,IVA,21 %\n": "line 2: '21 %' is no rate in per cent such as 21 or 5.5.",
        f"{header}\nES,,,IVA,-1\n": "line 2: '-1' is no rate in per cent",
        f"{header}\nES,,,IVA,5.12345\n": "line 2: '5.12345' is no rate in per cent",
        f"{header}\nES,{'x' * 41},,IVA,21\n": "line 2: the region has more than 40 characters.",
        f'{header}\nES,,,"IVA,21\n': "line 2: unexpected end of data.",
        f"{header}\nES,,,IVA,21\n# twice\nES,,,IVA,10\n": "line 4: IVA stands there twice",
        f"{header}\nES,,,IVA,21\n".encode() + b"\xff": "line 3: the text isn't UTF-8.",
        f"{header}\n": "rates.csv has no rates.",
        "": "rates.csv has no rates.",
    }
    for content, message in cases.items():
        with subtests.test(message=message):
            with pytest.raises(ImproperlyConfigured) as refusal:
                tax_rates.read(rates_file(content))

            assert str(refusal.value).startswith("TAX_RATES_FILE ")
            assert message in str(refusal.value)
            assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImproperlyConfigured, match=r"rates\.csv: No such file or directory\."):
        tax_rates.read(tmp_path / "rates.csv")


def test_fixed_rates_need_a_file(settings: Any):
    settings.TAX_RATES = ()
    settings.PORTS = settings.PORTS | {"tax": "ordering_write.ports.fixed_rates.FixedRates"}

    assert "FixedRates needs TAX_RATES_FILE" in ports.faults()["tax"]


# --- The taxes -----------------------------------------------------------------------------------
@pytest.fixture
def taxes_at(rates_file, settings: Any) -> Callable[..., list[str]]:
    """Return a function that says the labels of the taxes on a line and on shipping."""
    settings.TAX_RATES = tax_rates.read(rates_file(RATES))
    settings.STORE_COUNTRY = "ES"

    def labels(country: str | None, region: str = "", tax_class: str = "") -> list[str]:
        address = PostalAddress(**ADDRESS | {"country": country or "", "region": region})
        parts = [
            PartToTax(part_id=UUID(int=0), kind="line", tax_class=tax_class, value=Decimal(10)),
            PartToTax(part_id=UUID(int=1), kind="shipping", tax_class="shipping", value=Decimal(5)),
        ]
        draft = TaxDraft(
            order_id=UUID(int=2),
            customer_id=UUID(int=3),
            currency="EUR",
            placed_at=NOW,
            parts=parts,
            ship_to=lambda: address if country else None,
        )
        taxes = FixedRates().taxes(draft)
        return [tax.label for part_id in (UUID(int=0), UUID(int=1)) for tax in taxes[part_id]]

    return labels


def test_the_nearest_rate_applies(taxes_at, subtests):
    cases = [
        ("ES", "", "", ["IVA 21 %", "IVA 21 %"]),
        ("ES", "Madrid", "food", ["IVA 4 %", "IVA 21 %"]),
        # A class without a rate has that of all other products.
        ("ES", "", "books", ["IVA 21 %", "IVA 21 %"]),
        # The rates of a region replace those of the country, however the region is spelled.
        ("ES", "CANARIAS ", "food", ["IGIC 7 %", "IGIC 7 %"]),
        ("CA", "Québec", "", ["GST 5 %", "QST 9.975 %"] * 2),
        ("CA", "Ontario", "", ["GST 5 %", "GST 5 %"]),
        # A country without a rate has no tax.
        ("US", "", "food", []),
        # An order without an address is taxed where the shop is.
        (None, "", "food", ["IVA 4 %", "IVA 21 %"]),
    ]
    for country, region, tax_class, labels in cases:
        with subtests.test(country=str(country), region=region, tax_class=tax_class):
            assert taxes_at(country, region, tax_class) == labels


def test_a_tax_names_its_place_and_is_included_if_the_shop_says_so(taxes_at, settings: Any):
    for included in (False, True):
        settings.PRICES_INCLUDE_TAX = included

        [tax] = FixedRates()._taxes_at("ES", "canarias", "")

        assert tax == Tax(
            label="IGIC 7 %", jurisdiction="ES Canarias", rate=Decimal(7), included=included
        )


def test_the_tax_classes_are_those_of_the_file(taxes_at):
    assert FixedRates().tax_classes() == {"food"}
