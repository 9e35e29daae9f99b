"""The search of the admin site: an exact match opens, everything else is listed."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from pydantic import ValidationError

from config.http.admin import page_url
from ordering_read import permissions
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_read.queries.search import SearchOrders, SearchView
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
        if result and result.exact:
            return redirect(page_url(_MODELS[result.exact.kind], result.exact.id))
        context = self.get_context_data(
            text=text,
            problem=problem,
            found=result and any((result.orders, result.customers, result.products)),
            orders=_rows("order", result.orders, "id") if result else (),
            customers=_rows("customer", result.customers, "customer_id") if result else (),
            products=_rows("product", result.products, "product_id") if result else (),
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


def _rows(kind: str, views: Any, identity: str) -> list[tuple[str, Any]]:
    return [(page_url(_MODELS[kind], getattr(view, identity)), view) for view in views]
