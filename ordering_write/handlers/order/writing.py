"""Handlers of the commands that write on an order: notes, tags, who answers for it."""

from uuid_utils.compat import uuid7

from config.accounts.models import User
from ordering_write.domain.commands import (
    AddNote,
    AssignOrder,
    RedactNote,
    TagOrder,
    UntagOrder,
)
from ordering_write.domain.errors import CustomerErasedError, UnknownAssigneeError
from ordering_write.handlers.order.base import OrderHandler
from ordering_write.models import Customer, Order, OutboxEvent, PersonalData


class AddNoteHandler(OrderHandler[AddNote]):
    """Write a note."""

    def act(self, order: Order, command: AddNote) -> None:
        # A note is personal, and nobody would erase this one any more.
        if Customer.objects.filter(pk=order.customer_id, status=Customer.Status.ERASED).exists():
            raise CustomerErasedError
        order.add_note(
            command.text, note_id=uuid7(), visibility=command.visibility, now=command.timestamp
        )


class RedactNoteHandler(OrderHandler[RedactNote]):
    """Erase the text of a note, in the log too."""

    def act(self, order: Order, command: RedactNote) -> None:
        order.redact_note(command.note_id, now=command.timestamp)
        told = OutboxEvent.objects.filter(
            stream=order.stream, type="NoteAdded", data__note_id=str(command.note_id)
        )
        PersonalData.objects.filter(pk__in=told.values("personal_id")).delete()


class TagOrderHandler(OrderHandler[TagOrder]):
    """Put a tag on an order."""

    def act(self, order: Order, command: TagOrder) -> None:
        order.tag(command.tag, now=command.timestamp)


class UntagOrderHandler(OrderHandler[UntagOrder]):
    """Take a tag off an order."""

    def act(self, order: Order, command: UntagOrder) -> None:
        order.untag(command.tag, now=command.timestamp)


class AssignOrderHandler(OrderHandler[AssignOrder]):
    """Make a member of staff responsible for an order."""

    def act(self, order: Order, command: AssignOrder) -> None:
        assignee = command.assignee or ""
        known = User.objects.filter(username=assignee, is_staff=True, is_active=True)
        if assignee and not known.exists():
            raise UnknownAssigneeError(
                f"There is no member of staff named {assignee}.", pointer="#/assignee"
            )
        order.assign(assignee, now=command.timestamp)
