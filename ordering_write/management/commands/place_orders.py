"""`manage.py place_orders`: places the orders in a file, one per line, each at most once."""

import os
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import IO, Any
from uuid import uuid5

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError
from pydantic import ValidationError
from rest_framework.exceptions import ParseError
from tqdm import tqdm

from config.accounts.models import User
from config.http.input.strict_json import loads
from config.http.input.validation import errors_of
from ordering_write import client
from ordering_write.client import CreateOrder, DomainError
from ordering_write.domain.errors import IdempotencyKeyExpiredError
from ordering_write.handlers import handler_of

_BOM = b"\xef\xbb\xbf"
# Fields that a line can't have: they say who gives the command, when and how.
_ENVELOPE = frozenset(client.Command.model_fields) - {"command_id"}


class RefusedLineError(Exception):
    """A line isn't an order; the message says why."""


class Command(BaseCommand):
    help = """Place the orders in a file: each line is the JSON body of POST /orders, and may have a
    command_id. Continues after refused lines and reports them. Can be run again after it was
    stopped: no line is placed twice."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="The user who orders, with their rights.")
        parser.add_argument("--file", required=True, help="The file, or - for standard input.")

    def handle(self, *args: Any, **options: Any) -> None:
        orders = _Orders(_user(options["user"]))
        count: Counter[str] = Counter()
        started = time.monotonic()
        try:
            with (
                _open_file(options["file"]) as (file, total),
                tqdm(total=total, unit="line") as bar,
            ):
                for number, line in _lines(file):
                    if reason := self._place(orders, number, line, count):
                        bar.clear()
                        self.stdout.write(f"line {number}: {reason}")
                    bar.update(number - bar.n)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.stdout.write("Stopped. Run it again: what is placed is not placed again.")
            raise SystemExit(130) from None
        finally:
            seconds = time.monotonic() - started
            self.stdout.write(
                f"placed {count['placed']}, repeated {count['repeated']}, "
                f"refused {count['refused']} in {seconds:.1f} s"
            )
        if refused := count["refused"]:
            raise CommandError(f"{refused} line{'s were' if refused > 1 else ' was'} refused.")

    def _place(self, orders: "_Orders", number: int, line: bytes, count: Counter[str]) -> str:
        """Place one line and count the result; returns the reason of a refusal, if any."""
        try:
            count["repeated" if orders.place(line) else "placed"] += 1
        except (RefusedLineError, DomainError) as error:
            count["refused"] += 1
            return str(error)
        except (OperationalError, InterfaceError) as error:
            reason = " ".join(str(error).split())
            raise CommandError(
                f"Stopped at line {number}: {reason}. Run it again: nothing is placed twice."
            ) from error
        return ""


class _Orders:
    """Places lines for one user."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.envelope = client.envelope(user, channel="cli")
        # The number of times that a line has occurred, by its digest.
        self.occurrences: Counter[bytes] = Counter()

    def place(self, line: bytes) -> bool:
        """Place the order in ``line``; return True if it was placed before.

        Raises RefusedLineError if the line isn't an order, and DomainError if the order is refused.
        """
        # Two equal lines are two orders, and the same two in every run.
        digest = sha256(line).digest()
        self.occurrences[digest] += 1
        if len(line) > settings.MAX_BODY_BYTES:
            raise RefusedLineError(f"The line is longer than {settings.MAX_BODY_BYTES} bytes.")
        try:
            body = loads(line)
        except ParseError as error:
            raise RefusedLineError(str(error.detail)) from error
        for name in sorted(_ENVELOPE & body.keys()):
            raise RefusedLineError(f"#/{name}: There is no such field.")
        key = uuid5(self.user.pk, f"place_orders {digest.hex()} {self.occurrences[digest]}")
        try:
            command = CreateOrder.model_validate({"command_id": key, **body, **self.envelope})
        except ValidationError as error:
            mistakes = [
                f"{mistake['pointer']}: {mistake['detail']}" for mistake in errors_of(error)
            ]
            raise RefusedLineError("; ".join(mistakes)) from error
        try:
            return client.dispatch(command, user=self.user).replayed
        except IdempotencyKeyExpiredError:
            # The record was pruned; the events show that the order was placed.
            return True


def _user(username: str) -> User:
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user {username}.")
    needed = handler_of(CreateOrder).permission.name
    if not user.has_perm(needed):
        raise CommandError(f"{username} can't place orders: this needs the permission {needed}.")
    return user


@contextmanager
def _open_file(path: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """Yield the file at ``path`` (``-``: standard input) and the number of its lines, if known."""
    if path == "-":
        yield sys.stdin.buffer, None
        return
    with open(path, "rb") as file:
        total = None
        if os.path.isfile(path):
            total = sum(1 for _ in _raw_lines(file))
            file.seek(0)
        yield file, total


def _raw_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of ``file``; only the start of a line that is too long."""
    limit = settings.MAX_BODY_BYTES + len(_BOM) + len(b"\r\n")
    while raw_line := file.readline(limit):
        start = raw_line
        while not raw_line.endswith(b"\n") and len(raw_line) == limit:
            raw_line = file.readline(limit)
        yield start


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of ``file`` that aren't empty, with their numbers from 1."""
    for number, raw_line in enumerate(_raw_lines(file), start=1):
        line = (raw_line.removeprefix(_BOM) if number == 1 else raw_line).strip()
        if line:
            yield number, line
