"""`manage.py webhooks`: registers and looks after webhook endpoints and their deliveries."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from pydantic import TypeAdapter, ValidationError

from config import processes
from config.commands import ServiceCommand
from config.http.input.validation import errors_of
from ordering_write.domain.errors import DomainError
from ordering_write.subscriptions.parked import Reason
from ordering_write.webhooks import WebhookDelivery, WebhookEndpoint, delivery_log, endpoints

_ENDPOINT = "{:<20} {:<10} {:>10} {:>9}  {}"
_DELIVERY = "{:<36} {:<20} {:>10} {:<28} {:<10} {:>5} {:>6}  {}"
_MOST_ROWS = 10_000

_LIST = "List the endpoints."
_ADD = "Register an endpoint, which gets the events from now on, and print its secret."
_CHANGE = "Change the address, the description or the event types."
_ROTATE = "Give an endpoint a new secret, and print it."
_TEST = "Send a message of the type WebhookTest, and print the answer."
_DISABLE = "Send nothing until the endpoint is enabled. Its events wait."
_ENABLE = "Send again, from the event on at which the endpoint was disabled."
_REPLAY = "Send all events after a position again."
_REMOVE = "Remove an endpoint with its deliveries."
_DELIVERIES = "List deliveries, the newest events first."
_SEND_AGAIN = "Try a delivery at once, also one that was delivered."
_SKIP = "Never send a delivery, so that later events of its stream follow."


class Command(ServiceCommand):
    help = "Register and look after webhook endpoints and their deliveries."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def add(name: str, text: str) -> ArgumentParser:
            action: ArgumentParser = actions.add_parser(name, help=text, description=text)
            action.add_argument("--json", action="store_true", help="Print JSON.")
            return action

        def add_named(name: str, text: str) -> ArgumentParser:
            action = add(name, text)
            action.add_argument("name", help="The name of the endpoint.")
            return action

        add("list", _LIST)
        for action in (add_named("add", _ADD), add_named("change", _CHANGE)):
            is_new = action.prog.endswith("add")
            action.add_argument("--url", required=is_new, help="Where messages are posted to.")
            action.add_argument("--description", help="A text for people.")
            action.add_argument(
                "--event-type",
                action="append",
                dest="event_types",
                metavar="TYPE",
                help="A type of events to send; may be repeated. Without any, all are sent.",
            )
        add_named("rotate", _ROTATE).add_argument(
            "--former-hours",
            type=int,
            default=24,
            metavar="HOURS",
            help="Sign by the former secret too for so long (%(default)s).",
        )
        add_named("test", _TEST)
        add_named("disable", _DISABLE).add_argument("--reason", default="")
        add_named("enable", _ENABLE)
        add_named("replay", _REPLAY).add_argument(
            "--after", type=int, required=True, metavar="POSITION", help="0: from the beginning."
        )
        add_named("remove", _REMOVE)
        listed = add("deliveries", _DELIVERIES)
        listed.add_argument("--endpoint", default="", metavar="NAME")
        listed.add_argument("--state", default="", choices=WebhookDelivery.State.values)
        listed.add_argument("--limit", type=int, default=50, help="%(default)s")
        for name, text in (("send-again", _SEND_AGAIN), ("skip", _SKIP)):
            action = add(name, text)
            action.add_argument("delivery", type=UUID, metavar="ID", help="The delivery's id.")
            if name == "skip":
                action.add_argument("--reason", required=True)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        act: Callable[[Mapping[str, Any]], None] = getattr(self, f"_{action.replace('-', '_')}")
        try:
            act(options)
        except ValidationError as error:
            complaints = [f"{item['pointer'][2:]}: {item['detail']}" for item in errors_of(error)]
            raise CommandError(f"{'; '.join(complaints)}.") from error
        except DomainError as error:
            raise CommandError(str(error)) from error

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = list(endpoints.all_endpoints())
        if options["json"]:
            self._write([_fields(row) for row in rows])
            return
        self.stdout.write(_ENDPOINT.format("endpoint", "state", "position", "failures", "address"))
        for row in rows:
            state = "failing" if row.failures else "enabled"
            cells = (row.name, state if row.is_enabled else "disabled", row.position, row.failures)
            self.stdout.write(_ENDPOINT.format(*cells, row.url))

    def _add(self, options: Mapping[str, Any]) -> None:
        given = ("name", "url", "description", "event_types")
        fields = {key: options[key] for key in given if options[key] is not None}
        self._show_secret(endpoints.register(endpoints.NewEndpoint(**fields), by=_by()), options)

    def _change(self, options: Mapping[str, Any]) -> None:
        fields = {key: options[key] for key in ("url", "description", "event_types")}
        change = endpoints.EndpointChange(**fields)
        self._show(endpoints.change(options["name"], change, by=_by()), options)

    def _rotate(self, options: Mapping[str, Any]) -> None:
        hours = options["former_hours"]
        if not 0 <= hours <= endpoints.MOST_HOURS:
            raise CommandError(f"--former-hours is from 0 to {endpoints.MOST_HOURS}.")
        endpoint = endpoints.rotate_secret(options["name"], hours=hours, by=_by())
        self._show_secret(endpoint, options)

    def _test(self, options: Mapping[str, Any]) -> None:
        answer = endpoints.send_test(options["name"])
        if options["json"]:
            self._write({"status": answer.status, "error": answer.error})
        elif answer.is_success:
            self.stdout.write(f"{options['name']} answered {answer.status}.")
        if not answer.is_success:
            raise CommandError(f"{options['name']} didn't take the message: {answer.error}")

    def _disable(self, options: Mapping[str, Any]) -> None:
        reason = options["reason"]
        if reason:
            reason = TypeAdapter(Reason).validate_python(reason)
        self._show(endpoints.disable(options["name"], reason=reason, by=_by()), options)

    def _enable(self, options: Mapping[str, Any]) -> None:
        self._show(endpoints.enable(options["name"], by=_by()), options)

    def _replay(self, options: Mapping[str, Any]) -> None:
        if options["after"] < 0:
            raise CommandError("--after is 0 or more.")
        self._show(endpoints.replay(options["name"], after=options["after"], by=_by()), options)

    def _remove(self, options: Mapping[str, Any]) -> None:
        endpoints.remove(options["name"], by=_by())
        self.stdout.write(f"{options['name']} was removed.")

    def _deliveries(self, options: Mapping[str, Any]) -> None:
        if not 1 <= options["limit"] <= _MOST_ROWS:
            raise CommandError(f"--limit is from 1 to {_MOST_ROWS}.")
        if options["endpoint"]:
            endpoints.find(options["endpoint"])
        rows = delivery_log.deliveries(endpoint=options["endpoint"], state=options["state"])
        rows = rows[: options["limit"]]
        if options["json"]:
            self._write([_delivery_fields(row) for row in rows])
            return
        heads = ("id", "endpoint", "position", "type", "state", "tries", "status", "error")
        self.stdout.write(_DELIVERY.format(*heads))
        for row in rows:
            cells = (row.id, row.endpoint.name, row.position, row.type, row.state, row.tries)
            line = _DELIVERY.format(*map(str, cells), row.status or "", row.error)
            self.stdout.write(line.rstrip())

    def _send_again(self, options: Mapping[str, Any]) -> None:
        delivery = delivery_log.send_again(options["delivery"], by=_by())
        self.stdout.write(f"{str(delivery).capitalize()} is sent again.")

    def _skip(self, options: Mapping[str, Any]) -> None:
        reason = TypeAdapter(Reason).validate_python(options["reason"])
        delivery = delivery_log.skip(options["delivery"], reason=reason, by=_by())
        self.stdout.write(f"{str(delivery).capitalize()} is skipped.")

    def _show(self, endpoint: WebhookEndpoint, options: Mapping[str, Any]) -> None:
        if options["json"]:
            self._write(_fields(endpoint))
        else:
            state = "enabled" if endpoint.is_enabled else "disabled"
            self.stdout.write(f"{endpoint.name} is {state} at position {endpoint.position}.")

    def _show_secret(self, endpoint: WebhookEndpoint, options: Mapping[str, Any]) -> None:
        if options["json"]:
            self._write({**_fields(endpoint), "secret": endpoint.secret})
        else:
            self._show(endpoint, options)
            self.stdout.write(f"Its secret, which is shown this once: {endpoint.secret}")

    def _write(self, content: Any) -> None:
        self.stdout.write(json.dumps(content, indent=2, default=_text))


def _fields(endpoint: WebhookEndpoint) -> dict[str, Any]:
    names = ("name", "url", "description", "event_types", "position", "failures", "failing_since")
    others = ("paused_until", "succeeded_at", "disabled_at", "disabled_reason", "created_at")
    return {"id": endpoint.key} | {name: getattr(endpoint, name) for name in (*names, *others)}


def _delivery_fields(delivery: WebhookDelivery) -> dict[str, Any]:
    names = ("id", "position", "event_id", "stream", "type", "state", "due_at", "tries", "tried_at")
    others = ("status", "error", "done_at", "skipped_by", "skip_reason")
    return {"endpoint": delivery.endpoint.name} | {
        name: getattr(delivery, name) for name in (*names, *others)
    }


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _by() -> str:
    return f"command line ({processes.login()})"
