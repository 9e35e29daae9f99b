"""Order numbers, and the ways in which people spell them."""

import pytest

from ordering_write.domain.order_numbers import order_number, spelled_order_number


def test_a_number_has_six_digits_or_more() -> None:
    assert order_number(2026, 1221) == "2026-001221"
    assert order_number(2026, 12345678) == "2026-12345678"


def test_spellings_of_a_number_are_this_number(subtests: pytest.Subtests) -> None:
    for text in (
        "2026-001221",
        " 2026-1221 ",
        "2026–1221",
        "2026‑001221",
        "2026−1221",
        "２０２６－００１２２１",
        "2026-\u200b1221",
        "Order 2026-001221",
        "order #2026-1221",
        "ORDER: 2026-1221",
        "#2026-1221",
    ):
        with subtests.test(text):
            assert spelled_order_number(text) == "2026-001221"


def test_other_texts_keep_their_characters(subtests: pytest.Subtests) -> None:
    for text in ("WEB-300", "2026-0000012", "1221", "", "order", "2026-", "20261221"):
        with subtests.test(text):
            assert spelled_order_number(text) == text
