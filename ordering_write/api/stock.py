"""The routes of the commands about products in stock."""

from ordering_write.api.bodies import NewProduct, ProductOutcome
from ordering_write.api.routes import CommandRoutes, Route
from ordering_write.domain import commands as c
from ordering_write.domain.errors import ProductNotFoundError
from ordering_write.models import StockItem


class StockCommands(CommandRoutes):
    """The unsafe methods of /inventory."""

    address = "/api/v1/inventory"
    missing = ProductNotFoundError
    aggregate = StockItem
    body = ProductOutcome
    routes = (
        Route(
            "POST",
            "",
            c.RegisterStockItem,
            response_model=NewProduct,
            example={"sku": "SAMPLE-1", "name": "Sample product", "on_hand": 25}
            | {"list_price": "12.50"},
        ),
        Route("POST", "receipts", c.ReceiveStock, example={"reference": "Delivery note 1"}),
        Route("PUT", "expectations", c.ExpectStock, example={"quantity": 10}),
        Route("POST", "adjustments", c.AdjustStock, example={"delta": -1}),
        Route("PUT", "price", c.SetListPrice),
        Route("PUT", "name", c.RenameStockItem),
        Route("POST", "discontinue", c.DiscontinueStockItem),
        Route("POST", "reinstate", c.ReinstateStockItem),
        Route("PUT", "tax-class", c.SetTaxClass),
        Route("PATCH", "policy", c.SetStockPolicy, example={"reorder_point": 5}),
    )
