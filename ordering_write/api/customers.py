"""The routes of the commands about customers."""

from ordering_write.api.bodies import CustomerOutcome, NewCustomer
from ordering_write.api.routes import CommandRoutes, Route
from ordering_write.domain import commands as c
from ordering_write.domain.errors import CustomerNotFoundError
from ordering_write.models import Customer


class CustomerCommands(CommandRoutes):
    """The unsafe methods of /customers."""

    address = "/api/v1/customers"
    missing = CustomerNotFoundError
    aggregate = Customer
    body = CustomerOutcome
    routes = (
        Route("POST", "", c.RegisterCustomer, response_model=NewCustomer),
        Route("PATCH", "", c.ChangeCustomerDetails),
        Route("PATCH", "metadata", c.SetCustomerMetadata),
        Route("POST", "block", c.BlockCustomer, example={"reason": "Unpaid bills"}),
        Route("POST", "unblock", c.UnblockCustomer, example={"reason": "All bills are paid"}),
        Route("POST", "erase", c.EraseCustomer, example={"reason": "The customer asked for it"}),
    )
