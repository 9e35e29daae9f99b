"""Handlers of the commands about notes and tags."""

from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Customer, Order, OutboxEvent, PersonalData


@handles(c.AddNote)
class AddNoteHandler(OrderHandler[c.AddNote]):
    permission = Permission("add_note", (Role.CLERK, Role.WAREHOUSE))
    events = (e.NoteAdded,)
    refusals = (errors.CustomerErasedError,)

    def act(self, order: Order, command: c.AddNote) -> None:
        # A note is personal data, which no later erasure of this customer would delete.
        if Customer.objects.filter(pk=order.customer_id, status=Customer.Status.ERASED).exists():
            raise errors.CustomerErasedError
        order.add_note(
            command.text, note_id=uuid7(), visibility=command.visibility, now=command.timestamp
        )


@handles(c.RedactNote)
class RedactNoteHandler(OrderHandler[c.RedactNote]):
    permission = Permission("redact_note", (Role.CLERK,))
    events = (e.NoteRedacted,)
    refusals = (errors.NoteNotFoundError,)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_redact_note()

    def act(self, order: Order, command: c.RedactNote) -> None:
        order.redact_note(command.note_id, now=command.timestamp)
        note_events = OutboxEvent.objects.filter(
            stream=order.stream, type="NoteAdded", data__note_id=str(command.note_id)
        )
        PersonalData.objects.filter(pk__in=note_events.values("personal_id")).delete()


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
