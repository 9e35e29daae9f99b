"""The base classes of the pages of customers: their visitors, and how they give commands."""

from typing import Any, ClassVar, TypeVar, cast
from uuid import UUID, uuid4, uuid5

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.generic import TemplateView, View
from rest_framework.exceptions import Throttled

from config.accounts.models import User
from config.accounts.roles import customer_scope
from config.accounts.sessions import Visitor, visitor_of
from config.http.admin import parse_uuid
from config.http.errors import ParameterError
from config.http.limits import throttling
from ordering_read import permissions
from ordering_read.admin.codes import country_name
from ordering_read.queries.base import Query, get_query_bus
from ordering_read.queries.orders import GetOrderByNumber, OrderDetail, OrderNotFoundError
from ordering_write import client
from ordering_write.published import IdempotencyKeyReusedError

Answer = TypeVar("Answer")

# The projections whose rows the pages show, and the seconds that a page waits for a command.
PROJECTIONS = ("order_view", "order_timeline")
_WAIT_SECONDS = 2.0


class CountedPage(View):
    """A page whose requests count towards the rate limits of the API."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        usage = throttling.count_request(request, cast(User, request.user))
        if usage.is_exceeded:
            raise Throttled(usage.seconds)
        return super().dispatch(request, *args, **kwargs)


class CustomerPage(CountedPage, TemplateView):
    """A page for a customer who is logged in; with ``for_visitors`` also for visitors.

    Staff are led to the admin, and strangers to the login. ``scope`` is the id of the customer
    whose data the page may show.
    """

    for_visitors: ClassVar[bool] = False

    visitor: Visitor | None = None
    scope: UUID

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = request.user
        if not user.is_authenticated:
            self.visitor = visitor_of(request.session) if self.for_visitors else None
            if self.visitor is None:
                return redirect_to_login(request.get_full_path(), reverse("my:login"))
            self.scope = self.visitor.customer_id
        elif (scope := customer_scope(user)) is None:
            return redirect("admin:index")
        elif user.has_perm(permissions.VIEW_ORDERS):
            self.scope = scope
        else:
            raise PermissionDenied("You don't have the permission that this page needs.")
        self.prepare()
        return super().dispatch(request, *args, **kwargs)

    def prepare(self) -> None:
        """Read the data that every method of the page needs. Raises a NotFoundError."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(visitor=self.visitor, **kwargs)

    def ask(self, query: Query[Answer]) -> Answer:
        """Return the answer to ``query``, from the data of the customer alone."""
        scoped = query.model_copy(update={"customer_scope": self.scope})
        return get_query_bus().dispatch(scoped)


class OrderPage(CustomerPage):
    """A page about one order of the customer; any other order isn't found, by any method."""

    order: OrderDetail

    def prepare(self) -> None:
        self.order = self.ask(GetOrderByNumber(order_number=self.kwargs["number"]))
        if self.visitor and self.visitor.order_id != self.order.id:
            raise OrderNotFoundError

    @property
    def url(self) -> str:
        """The address of the page that shows the order."""
        return reverse("my:order", args=[self.order.order_number])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        address = self.order.shipping_address
        return super().get_context_data(
            order=self.order,
            order_url=self.url,
            country=country_name(address.country) if address else "",
            **kwargs,
        )


class CommandPage(OrderPage):
    """A page with a form that gives one command about the order.

    ``key`` is a hidden field of the form, so that a form that is sent twice gives one command.
    """

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(key=uuid4(), **kwargs)

    def command(
        self, command_type: type[client.Command], key: UUID, **payload: Any
    ) -> client.Command:
        """Return the command with this payload, as the user gives it. Raises ValidationError."""
        user = cast(User, self.request.user)
        envelope = {
            **client.envelope(user, channel="site"),
            "correlation_id": self.request.correlation_id,  # type: ignore[attr-defined]
            # Nobody can use the id of another user's command.
            "command_id": uuid5(user.pk, f"site {key}"),
        }
        return command_type.model_validate({**envelope, **payload})

    def give(
        self, command_type: type[client.Command], *, done: str, **payload: Any
    ) -> tuple[client.CommandResult, bool]:
        """Give the command of the form; return its events, and True if pages show them already.

        Tells the user on the next page that the command was accepted, by the sentence ``done``.
        Raises ParameterError for a form that lacks its key or was sent before with other fields,
        and the refusal of the command.
        """
        key = parse_uuid(self.request.POST.get("key", ""))
        if key is None:
            raise ParameterError("key", "This form is incomplete. Send it again.")
        command = self.command(command_type, key, **payload)
        try:
            events = client.dispatch(
                command,
                user=cast(User, self.request.user),
                wait_for=PROJECTIONS,
                timeout=_WAIT_SECONDS,
            )
        except IdempotencyKeyReusedError:
            raise ParameterError("key", "This form was sent before, and is done.") from None
        except client.NotYetVisibleError as error:
            text = f"{done} It was accepted, and is shown here in a moment."
            messages.warning(self.request, text)
            return error.result, False
        messages.success(self.request, done)
        return events, True
