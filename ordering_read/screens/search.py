"""The search of the admin site: an exact match opens, everything else is listed."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from pydantic import ValidationError

from config.http.admin import list_url, page_url
from ordering_read import permissions
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_read.queries.orders import OrderView
from ordering_read.queries.search import MAX_RESULTS, ExactMatch, SearchOrders, SearchView
from ordering_read.screens.base import Screen

_MODELS = {"order": OrderSummary, "customer": CustomerSummary, "product": InventoryLevel}


class SearchScreen(Screen):
    """The orders, customers and products that the text ``q`` finds."""

    template_name = "screens/search.html"
    title = "Search"
    needed_permission = permissions.VIEW_ORDERS

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        text = request.GET.get("q", "").strip()
        result, problem = self._search(text)
        if result and (match := result.exact or _order_of_any_year(text, result.orders)):
            return redirect(page_url(_MODELS[match.kind], match.id))
        query = urlencode({"q": text})
        context = self.get_context_data(
            text=text,
            problem=problem,
            found=result and any((result.orders, result.customers, result.products)),
            orders=_rows("order", result.orders, "id") if result else (),
            customers=_rows("customer", result.customers, "customer_id") if result else (),
            products=_rows("product", result.products, "product_id") if result else (),
            most=MAX_RESULTS,
            lists={name: list_url(model, f"?{query}") for name, model in _MODELS.items()},
        )
        return self.render_to_response(context)

    def _search(self, text: str) -> tuple[SearchView | None, str]:
        """Return the result, or None and a sentence that says why the text can't be searched."""
        sees_customers = self.may(permissions.VIEW_CUSTOMERS)
        sees_products = self.may(permissions.VIEW_STOCK_LEVELS)
        try:
            query = SearchOrders(q=text, customers=sees_customers, products=sees_products)
        except ValidationError as error:
            return None, error.errors()[0]["msg"]
        return self.ask(query), ""


def _order_of_any_year(text: str, orders: Sequence[OrderView]) -> ExactMatch | None:
    """Return the only order whose number is ``text`` without its year: 301 for 2026-000301."""
    if not text.isdecimal():
        return None
    ids = [order.id for order in orders if _serial(order.order_number) == int(text)]
    return ExactMatch(kind="order", id=ids[0]) if len(ids) == 1 else None


def _serial(order_number: str) -> int:
    return int(order_number.rpartition("-")[2])


def _rows(kind: str, views: Any, identity: str) -> list[tuple[str, Any]]:
    return [(page_url(_MODELS[kind], getattr(view, identity)), view) for view in views]
