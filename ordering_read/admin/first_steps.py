"""The first steps of an empty shop, on the start page of the admin and on empty lists."""

from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from config.accounts.models import User
from ordering_read.admin.base import user_of
from ordering_read.admin.labels import command_label, command_slug
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_write import client
from ordering_write.client import Command
from ordering_write.client import commands as c

# A command makes the first record of a read model. An order needs a product and a customer, and has
# a page of its own.
_STEPS = (
    (InventoryLevel, c.RegisterStockItem),
    (CustomerSummary, c.RegisterCustomer),
    (OrderSummary, c.CreateOrder),
)


def first_steps(request: HttpRequest) -> dict[str, Callable[[], list[dict[str, Any]]]]:
    """Add ``first_steps`` to templates. Only a template that uses them costs a query."""
    return {"first_steps": lambda: _steps(request)}


def _steps(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the steps of a shop without orders, with an address for users who may do a step."""
    if OrderSummary.live.exists():
        return []
    steps = [
        {
            "label": command_label(command_type),
            "done": model is not OrderSummary and model.live.exists(),
            "url": _url(model, command_type)
            if client.may_dispatch(user_of(request), command_type)
            else "",
        }
        for model, command_type in _STEPS
    ]
    # Users who may do nothing get no list of things to do.
    return [*_logins(request), *steps] if any(step["url"] for step in steps) else []


def _logins(request: HttpRequest) -> Iterator[dict[str, Any]]:
    """Yield the step of those who may create logins: each colleague needs one."""
    user = user_of(request)
    if user.has_perm("accounts.add_user"):
        yield {
            "label": "Create a login for each colleague",
            "done": User.objects.exclude(pk=user.pk).exists(),
            "url": reverse("admin:accounts_user_add"),
        }


def _url(model: type[Model], command_type: type[Command]) -> str:
    if model is OrderSummary:
        return reverse("screens:new-order")
    name = f"admin:ordering_read_{model._meta.model_name}_command_new"
    return reverse(name, args=[command_slug(command_type)])
