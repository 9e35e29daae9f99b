"""Commands about customers: register one."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ordering_write.api.base import Answer, CommandEndpoint, answer
from ordering_write.api.bodies import CustomerOutcome, body_of
from ordering_write.bus import Outcome
from ordering_write.domain.commands import RegisterCustomer
from ordering_write.domain.events import CustomerRegistered


class CustomerCommands(CommandEndpoint):
    """The unsafe methods of /customers."""

    needed_permissions = {"create": "ordering_write.register_customer"}

    @extend_schema(
        operation_id="customer_register",
        summary="Register a customer",
        request=body_of(RegisterCustomer),
        responses={201: CustomerOutcome},
    )
    def create(self, request: Request) -> Response:
        """Make a customer known."""

        def tell(outcome: Outcome) -> Answer:
            registered = next(event for event in outcome if isinstance(event, CustomerRegistered))
            customer_id = str(registered.customer_id)
            here = request.build_absolute_uri(f"/api/v1/customers/{customer_id}")
            body = {"customer_id": customer_id, "version": registered.recorded.version}
            return answer(body, outcome, status=201, location=here)

        return self.give(request, RegisterCustomer, tell)
