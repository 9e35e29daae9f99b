"""Bulk actions: a list starts a bulk job, which gives one command for each selected order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from config.http.admin import list_url
from ordering_read.admin.base import ActingAdmin, ReadModelAdmin, user_of
from ordering_read.admin.command_forms import CommandForm, FormContext
from ordering_read.admin.form_fields import Choices
from ordering_read.admin.labels import command_description, command_label, command_slug
from ordering_write import client
from ordering_write.client import Command
from ordering_write.client import commands as c

# The commands that the lists of orders offer.
BULK_COMMANDS = (c.ConfirmOrder, c.UpdateOrderStatus, c.PlaceHold, c.CancelOrder, c.TagOrder)
# The fields that are part of the title of a job: "Tag order: gift".
_IN_TITLE = ("status", "tag")


class JobForm(forms.Form):
    """The hidden id of a new job, by which a second click starts no second job."""

    job_id = forms.UUIDField(widget=forms.HiddenInput)


class _BulkContext(FormContext):
    """Context of a bulk dispatch, whose form shows no values of a record.

    ``fixed`` is the id of any selected record: without an id the command isn't valid.
    """

    def __init__(self, fixed: Mapping[str, Any]) -> None:
        self._fixed = fixed

    def fixed(self, command_type: type[c.Command]) -> Mapping[str, Any]:
        return self._fixed

    def choices(self, command_type: type[c.Command], name: str) -> Choices | None:
        if command_type is not c.UpdateOrderStatus or name != "status":
            return None
        # The other statuses follow from what happens to an order, and can't be set.
        settable = {status for moves in client.WHOLE_ORDER_MOVES.values() for status in moves}
        ordered = [status.value for status in client.OrderStatus if status in settable]
        return [(status, status.replace("_", " ")) for status in ordered]


class BulkCommands(ActingAdmin, ReadModelAdmin):
    """A list of orders with the actions ``bulk``: commands for many orders at once."""

    bulk: ClassVar[Sequence[type[Command]]] = ()
    most_selected = client.bulk.MOST_ITEMS

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        for command_type in self.bulk:
            if client.may_dispatch(user_of(request), command_type):
                slug, label = command_slug(command_type), command_label(command_type)
                actions[slug] = (_bulk_action(command_type), slug, label)
        return actions

    def start_job(
        self, request: HttpRequest, command_type: type[Command], queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """Ask for the fields of the command once, then start the job and show its page."""
        if not (orders := self.selected(request, queryset)):
            return None
        form, job_form = _forms(command_type, request, orders[0].order_id)
        if form.is_bound and job_form.is_valid() and (command := form.command()):
            job_id = client.bulk.start(
                job_form.cleaned_data["job_id"],
                [_draft(order, command) for order in orders],
                title=_title(command),
                user=user_of(request),
            )
            return redirect("screens:bulk-action", job_id)
        return self.page(
            request,
            "bulk_form.html",
            title=f"{command_label(command_type)}: {len(orders)} selected",
            description=command_description(command_type),
            action=command_slug(command_type),
            orders=orders,
            is_all=request.POST.get("select_across") == "1",
            back_url=list_url(self.model),
            form=form,
            job_form=job_form,
        )


def _forms(
    command_type: type[Command], request: HttpRequest, order_id: object
) -> tuple[CommandForm, JobForm]:
    context = _BulkContext({"order_id": order_id})
    data = request.POST if "check" in request.POST else None
    form = CommandForm(command_type, context, data=data)
    if form.fields:
        return form, JobForm(data, initial={"job_id": uuid4()})
    # A command without fields needs no form: the page of the job asks the question.
    return CommandForm(command_type, context, data={}), JobForm({"job_id": uuid4()})


def _draft(order: Any, command: Command) -> client.bulk.ItemDraft:
    payload = command.payload()
    del payload["order_id"]
    return client.bulk.ItemDraft(order.order_id, order.order_number, [(type(command), payload)])


def _title(command: Command) -> str:
    values = [str(getattr(command, name)) for name in _IN_TITLE if hasattr(command, name)]
    return ": ".join([command_label(type(command)), *values])


def _bulk_action(command_type: type[Command]) -> Callable[..., Any]:
    def action(
        page: BulkCommands, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return page.start_job(request, command_type, queryset)

    return action
