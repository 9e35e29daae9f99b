"""`manage.py skip_parked`: skips an event that subscribers can't apply, so that they continue."""

from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from pydantic import TypeAdapter, ValidationError

from config import processes
from config.accounts.models import User
from config.commands import ServiceCommand
from config.http.input.validation import errors_of
from ordering_read import permissions
from ordering_read.management.subscriptions import add_subscription, subscription_hint
from ordering_write.published import DomainError, parked, subscriptions


class Command(ServiceCommand):
    help = (
        "Skips an event in every projection whose stream it blocks, or with --subscription "
        "policies in every policy, and applies the events behind it. A skip for a policy is final. "
        "The list of parked events records who skipped the event, when and why."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_subscription(parser)
        parser.add_argument(
            "event_id", type=UUID, metavar="EVENT_ID", help="The id that `parked` lists."
        )
        parser.add_argument("--reason", required=True, help="Why the event isn't needed.")
        parser.add_argument(
            "--user", metavar="NAME", help="The user who skips the event; needs the permission."
        )

    def handle(
        self,
        *args: Any,
        subscription: str,
        event_id: UUID,
        reason: str,
        user: str | None,
        **options: Any,
    ) -> None:
        by = permissions.actor_label(_user(user)) if user else f"command line ({processes.login()})"
        source = subscriptions.find(subscription)
        try:
            reason = TypeAdapter(parked.Reason).validate_python(reason)
            results = parked.skip_event(source, event_id, reason=reason, by=by)
        except ValidationError as error:
            raise CommandError(f"--reason: {errors_of(error)[0]['detail']}.") from error
        except parked.ParkedEventNotFoundError as error:
            raise CommandError(f"{error}.{subscription_hint(source, event_id)}") from error
        except DomainError as error:
            raise CommandError(str(error)) from error
        for result in results:
            self.stdout.write(str(result))


def _user(username: str) -> User:
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user {username}.")
    permission = permissions.MANAGE_PARKED_EVENTS
    if not user.has_perm(permission):
        raise CommandError(f"{username} can't skip events: this needs the permission {permission}.")
    return user
