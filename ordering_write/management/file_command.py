"""The base of the commands of `manage.py` that dispatch a command for each line of a file.

A refused line is reported with its number and the reason, and the other lines go on. A file is read
line by line, so its length doesn't matter.
"""

import os
import sys
import time
from abc import abstractmethod
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import IO, Any, ClassVar
from uuid import UUID, uuid5

from django.conf import settings
from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError
from pydantic import ValidationError
from rest_framework.exceptions import ParseError
from tqdm import tqdm

from config.accounts.models import User
from config.commands import ServiceCommand
from config.http.input.strict_json import loads
from config.http.input.validation import errors_of
from ordering_write import client
from ordering_write.bus import has_taken_effect
from ordering_write.client import DomainError
from ordering_write.domain.errors import IdempotencyKeyExpiredError
from ordering_write.domain.values import Channel
from ordering_write.handlers import handler_of

_BOM = b"\xef\xbb\xbf"


class RefusedLineError(Exception):
    """A line can't be carried out; the message says why."""


class FileCommand(ServiceCommand):
    """Carries out each line of a file, for one user.

    ``purpose`` says what the user needs the permission for, ``done`` what happens to a line, and
    ``done_before`` what is counted for a line that changes nothing.
    """

    command_type: ClassVar[type[client.Command]]
    purpose: ClassVar[str]
    done: ClassVar[str]
    done_before: ClassVar[str] = "repeated"
    channel: ClassVar[Channel] = "cli"
    user_help: ClassVar[str] = "The user who gives the commands, with their rights."

    user: User
    # The file's name, as it was given.
    path: str
    is_dry_run: bool

    @abstractmethod
    def carry_out(self, line: bytes) -> bool:
        """Carry out one line; return False if it was carried out before and changes nothing.

        Raises RefusedLineError and DomainError.
        """

    def lines(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield the lines to carry out, with their numbers from 1."""
        for number, line in lines_of(file):
            yield number, line.strip()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help=self.user_help)
        parser.add_argument("--file", required=True, help="The file, or - for standard input.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Check each line by itself, and undo it."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.user, self.path = self._user(options["user"]), options["file"]
        self.is_dry_run = options["dry_run"]
        self.envelope = client.envelope(self.user, channel=self.channel)
        # The number of times that a line has occurred, by its digest.
        self._occurrences: Counter[bytes] = Counter()
        count: Counter[str] = Counter()
        started = time.monotonic()
        try:
            with (
                _open_file(self.path) as (file, total),
                tqdm(total=total, unit="line", disable=None, leave=False) as bar,
            ):
                for number, line in self.lines(file):
                    if reason := self._result(number, line, count):
                        bar.clear()
                        self.stdout.write(f"line {number}: {reason}")
                    bar.update(number - bar.n)
        except OSError as error:
            raise CommandError(f"{self.path}: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.stdout.write(
                f"Stopped. Run it again: what is {self.done} is not {self.done} again."
            )
            raise SystemExit(130) from None
        finally:
            seconds = time.monotonic() - started
            counts = ", ".join(
                f"{name} {count[name]}" for name in (self.done, self.done_before, "refused")
            )
            prefix = "dry run: " if self.is_dry_run else ""
            self.stdout.write(f"{prefix}{counts} in {seconds:.1f} s")
        if refused := count["refused"]:
            raise CommandError(f"{refused} line{'s were' if refused > 1 else ' was'} refused.")

    def _result(self, number: int, line: bytes, count: Counter[str]) -> str:
        """Carry out one line and count the result; return the reason of a refusal, else ""."""
        try:
            count[self.done if self.carry_out(line) else self.done_before] += 1
        except (RefusedLineError, DomainError) as error:
            count["refused"] += 1
            return str(error)
        except (OperationalError, InterfaceError) as error:
            reason = " ".join(str(error).split())
            raise CommandError(
                f"Stopped at line {number}: {reason}. Run it again: nothing is {self.done} twice."
            ) from error
        return ""

    def _user(self, username: str) -> User:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        permission = handler_of(self.command_type).permission.name
        if not user.has_perm(permission):
            raise CommandError(
                f"{username} can't {self.purpose}: this needs the permission {permission}."
            )
        return user

    # --- For subclasses ----------------------------------------------------------------------
    def key_of(self, line: bytes, namespace: str) -> UUID:
        """Return the id of the command of ``line``, the same in every run.

        Two equal lines of a file are two commands, so each has an id of its own.
        """
        digest = sha256(line).digest()
        self._occurrences[digest] += 1
        return uuid5(self.user.pk, f"{namespace} {digest.hex()} {self._occurrences[digest]}")

    def command(self, payload: Mapping[str, Any]) -> Any:
        """Return the command with this payload. Raises RefusedLineError."""
        try:
            return self.command_type.model_validate({**payload, **self.envelope})
        except ValidationError as error:
            mistakes = [
                f"{mistake['pointer']}: {mistake['detail']}" for mistake in errors_of(error)
            ]
            raise RefusedLineError("; ".join(mistakes)) from error

    def dispatch(self, command: client.Command) -> bool:
        """Dispatch ``command``; return False if it took effect before and changes nothing.

        In a dry run, undo the command and return the same. Raises the errors of
        ``client.dispatch``.
        """
        if not self.is_dry_run:
            try:
                result = client.dispatch(command, user=self.user)
            except IdempotencyKeyExpiredError:
                # The record was pruned; the events show that the command took effect.
                return False
            return bool(result) and not result.replayed
        if has_taken_effect(command):
            return False
        return bool(client.preview(command, user=self.user).would_emit)


def json_of(line: bytes) -> dict[str, Any]:
    """Return the JSON object in ``line``. Raises RefusedLineError."""
    if len(line) > settings.MAX_BODY_BYTES:
        raise RefusedLineError(f"The line is longer than {settings.MAX_BODY_BYTES} bytes.")
    try:
        return loads(line)
    except ParseError as error:
        raise RefusedLineError(str(error.detail)) from error


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


def lines_of(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of ``file`` that aren't empty, without line ends, with numbers from 1."""
    for number, raw_line in enumerate(_raw_lines(file), start=1):
        line = raw_line.removeprefix(_BOM) if number == 1 else raw_line
        if line.strip():
            yield number, line.rstrip(b"\r\n")
