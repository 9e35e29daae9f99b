"""Handlers of the commands about notes, tags, metadata and purchase orders."""

from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Customer, Order, PersonalData


@handles(c.AddNote)
class AddNoteHandler(OrderHandler[c.AddNote]):
    permission = Permission("add_note", (Role.CLERK, Role.WAREHOUSE))
    events = (e.NoteAdded,)
    refusals = (errors.CustomerErasedError,)

    def act(self, order: Order, command: c.AddNote) -> None:
        _refuse_if_erased(order)
        order.add_note(
            command.text, note_id=uuid7(), visibility=command.visibility, now=command.timestamp
        )


def _refuse_if_erased(order: Order) -> None:
    """Raise CustomerErasedError if the customer was erased.

    No later erasure of this customer would delete new personal data.
    """
    if Customer.objects.filter(pk=order.customer_id, status=Customer.Status.ERASED).exists():
        raise errors.CustomerErasedError


@handles(c.SetOrderMetadata)
class SetOrderMetadataHandler(OrderHandler[c.SetOrderMetadata]):
    permission = Permission("set_order_metadata", (Role.CLERK, Role.INTEGRATION))
    events = (e.OrderMetadataChanged,)
    refusals = (errors.CustomerErasedError, errors.TooManyPairsError)

    def act(self, order: Order, command: c.SetOrderMetadata) -> None:
        _refuse_if_erased(order)
        order.set_metadata(command.metadata, now=command.timestamp)


@handles(c.SetLineMetadata)
class SetLineMetadataHandler(OrderHandler[c.SetLineMetadata]):
    permission = Permission("set_line_metadata", (Role.CLERK, Role.INTEGRATION))
    events = (e.OrderMetadataChanged,)
    refusals = (errors.CustomerErasedError, errors.TooManyPairsError, errors.UnknownLineError)

    def act(self, order: Order, command: c.SetLineMetadata) -> None:
        _refuse_if_erased(order)
        order.set_metadata(command.metadata, line_id=command.line_id, now=command.timestamp)


@handles(c.SetPoNumber)
class SetPoNumberHandler(OrderHandler[c.SetPoNumber]):
    permission = Permission("set_po_number", (Role.CLERK, Role.INTEGRATION))
    events = (e.OrderPoNumberChanged,)

    def act(self, order: Order, command: c.SetPoNumber) -> None:
        order.set_po_number(command.po_number or "", now=command.timestamp)


@handles(c.RedactNote)
class RedactNoteHandler(OrderHandler[c.RedactNote]):
    permission = Permission("redact_note", (Role.CLERK,))
    events = (e.NoteRedacted,)
    refusals = (errors.NoteNotFoundError,)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_redact_note()

    def act(self, order: Order, command: c.RedactNote) -> None:
        order.redact_note(command.note_id, now=command.timestamp)
        note = {"note_id": str(command.note_id)}
        personal_ids = log.personal_ids(order.stream, event_type="NoteAdded", data=note)
        PersonalData.objects.filter(pk__in=personal_ids).delete()


@handles(c.TagOrder)
class TagOrderHandler(OrderHandler[c.TagOrder]):
    permission = Permission("tag_order", (Role.CLERK,))
    events = (e.OrderTagged,)
    refusals = (errors.TooManyTagsError,)

    def act(self, order: Order, command: c.TagOrder) -> None:
        order.tag(command.tag, now=command.timestamp)


@handles(c.UntagOrder)
class UntagOrderHandler(OrderHandler[c.UntagOrder]):
    permission = Permission("untag_order", (Role.CLERK,))
    events = (e.OrderUntagged,)

    def act(self, order: Order, command: c.UntagOrder) -> None:
        order.untag(command.tag, now=command.timestamp)
