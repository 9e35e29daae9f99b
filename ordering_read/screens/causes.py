"""The page of what followed from one request: a tree of commands, events and policies."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.urls import reverse

from config.http.admin import page_url, parse_uuid
from ordering_read import permissions
from ordering_read.admin.labels import CHANNELS, class_label
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_read.queries.causes import (
    CausedCommand,
    CausedEvent,
    CausesView,
    GetCauses,
    NoSuchCorrelationError,
)
from ordering_read.screens.base import Screen
from ordering_write.published import policies

_READ_LOG = "ordering_write.view_outbox"
# The pages of what events are about, each with its word and its permission.
_SUBJECTS = {
    "order": ("Order", OrderSummary, permissions.VIEW_ORDERS),
    "stock": ("Stock of", InventoryLevel, permissions.VIEW_STOCK_LEVELS),
    "customer": ("Customer", CustomerSummary, permissions.VIEW_CUSTOMERS),
}
# The most events of one command that are shown in full; those with consequences always are.
_MOST_SHOWN = 20


class CausesScreen(Screen):
    """The tree of the request with a correlation id; ``?event=`` marks one of its events."""

    template_name = "screens/causes.html"
    title = "Causes"
    needed_permission = permissions.VIEW_HISTORY

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        try:
            causes = self.ask(GetCauses(correlation_id=kwargs["correlation_id"]))
        except NoSuchCorrelationError as error:
            raise Http404(str(error)) from error
        marked_id = parse_uuid(self.request.GET.get("event", ""))
        return super().get_context_data(**tree_context(self.request, causes, marked_id), **kwargs)


def tree_context(
    request: HttpRequest, causes: CausesView, marked_id: UUID | None
) -> dict[str, Any]:
    """Return the context of ``screens/tree.html``, which marks the event ``marked_id``.

    Links lead to pages that the user of ``request`` may see.
    """
    tree = _Tree(request, marked_id)
    return {"commands": tree.commands(causes.commands), "is_whole": causes.is_whole}


class _Tree:
    """Turns commands and events into what the template shows."""

    def __init__(self, request: HttpRequest, marked_id: UUID | None) -> None:
        self._user, self._marked_id = request.user, marked_id

    def commands(self, commands: Iterable[CausedCommand]) -> list[dict[str, Any]]:
        return [self._command(command) for command in commands]

    def _command(self, command: CausedCommand) -> dict[str, Any]:
        shown = [
            event
            for number, event in enumerate(command.events)
            if number < _MOST_SHOWN or event.commands or event.event_id == self._marked_id
        ]
        return {
            "command": command,
            "label": class_label(command.type) if command.type else "A command",
            "channel": CHANNELS.get(command.channel, command.channel),
            "policy": command.policy and policies.label_of(command.policy),
            "url": self._command_url(command),
            "events": self._events(shown),
            "hidden_count": len(command.events) - len(shown),
        }

    def _events(self, events: Sequence[CausedEvent]) -> list[dict[str, Any]]:
        return [
            {
                "event": event,
                "label": event.sentence or class_label(event.type),
                "url": self._log_url("outboxevent", event.log_id),
                "is_marked": event.event_id == self._marked_id,
                "commands": self.commands(event.commands),
                **self._subject(event),
            }
            for event in events
        ]

    def _subject(self, event: CausedEvent) -> dict[str, str]:
        word, model, permission = _SUBJECTS[event.subject]
        url = page_url(model, event.subject_id) if self._user.has_perm(permission) else ""
        return {"subject": word, "subject_url": url}

    def _command_url(self, command: CausedCommand) -> str:
        """Return the URL of the record of ``command``; "" if there is none to see."""
        return self._log_url("commandrecord", command.command_id) if command.type else ""

    def _log_url(self, page: str, key: object) -> str:
        if not self._user.has_perm(_READ_LOG):
            return ""
        return reverse(f"admin:ordering_write_{page}_change", args=[key])
