"""Streams as people know them: "Order 2026-000301", with the page about it."""

from config.http.admin import page_url
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary

# The noun and the page of the thing that a stream is about, by the prefix of the stream.
_THINGS = {
    "order": ("Order", OrderSummary),
    "stock": ("Product", InventoryLevel),
    "customer": ("Customer", CustomerSummary),
}


def stream_label(stream: str, name: str) -> str:
    """Return the thing that ``stream`` is about; its ``name`` may be empty."""
    prefix = stream.partition("-")[0]
    noun = _THINGS[prefix][0] if prefix in _THINGS else prefix.capitalize()
    return f"{noun} {name}".strip()


def stream_url(stream: str) -> str:
    """Return the URL of the page about a stream, "" if it has none."""
    prefix, _, key = stream.partition("-")
    return page_url(_THINGS[prefix][1], key) if prefix in _THINGS else ""
