"""`manage.py scan_personal_data`: finds the columns that hold a person's data."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management.base import CommandError
from django.db import connections, transaction
from psycopg import sql

from config.accounts.models import User
from config.accounts.sessions import data_of
from ordering_write.archive import Storage, count_matches
from ordering_write.domain.values import ERASED
from ordering_write.management.archive_command import ArchiveCommand
from ordering_write.models import ArchivedFile, Customer, PersonalData

# Fields that many people have in common, and that identify nobody.
_SHARED = {"city", "region", "postal_code", "country"}

_COLUMNS = """
SELECT table_name, column_name, udt_name
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = ANY(current_schemas(false)) AND table_type = 'BASE TABLE'
  AND udt_name IN ('text', 'varchar', 'bpchar', '_text', '_varchar', 'json', 'jsonb', 'tsvector')
ORDER BY table_name, ordinal_position
"""


class Match(NamedTuple):
    """A column that holds one of the texts, and the number of such rows."""

    database: str
    table: str
    column: str
    rows: int

    def __str__(self) -> str:
        return f"{self.database}: {self.table}.{self.column}: {self.rows:,}"


class Command(ArchiveCommand):
    help = """Search every text, JSON and search column of every table of both databases, the
    sessions, and the archive of the log, for texts (upper or lower case) or for the personal data
    of a customer. Prints each column that matches with its number of rows; the exit code is 1 if
    there is one. The data of an erased customer are no longer known: pass them as texts."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        subject = parser.add_mutually_exclusive_group(required=True)
        subject.add_argument("--customer", type=UUID, metavar="ID")
        subject.add_argument("--text", action="append", help="May be given more than once.")

    def handle(
        self, *args: Any, customer: UUID | None, text: list[str] | None, **options: Any
    ) -> None:
        texts = personal_texts(customer) if customer else text or []
        with self.errors_as_sentences():
            matches = sorted(find_texts(texts))
        for match in matches:
            self.stdout.write(str(match))
        if matches:
            raise CommandError(f"Found in {len(matches)} column{'s' if len(matches) > 1 else ''}.")
        self.stdout.write("Found nowhere.")


def personal_texts(customer_id: UUID) -> list[str]:
    """Return the texts that identify a customer: names, addresses, notes.

    Raises CommandError if there is no such customer, or if it was erased.
    """
    customer = Customer.objects.filter(pk=customer_id).first()
    if customer is None:
        raise CommandError(f"There is no customer {customer_id}.")
    if customer.status == Customer.Status.ERASED:
        raise CommandError(f"Customer {customer_id} was erased; give the texts to search for.")
    fields = PersonalData.objects.filter(customer_id=customer_id).values_list("fields", flat=True)
    texts = {text for document in fields for text in _texts(document)}
    for account in User.objects.filter(customer_id=customer_id):
        texts |= {account.username, account.email, account.first_name, account.last_name}
    return sorted(texts - {"", ERASED})


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, member in value.items():
                if name not in _SHARED:
                    yield from _texts(member)


def find_texts(texts: Sequence[str]) -> Iterator[Match]:
    """Yield the columns that hold one of ``texts``, in upper or lower case.

    They are those of both databases and of the archive. Raises ArchiveError.
    """
    variants = {variant for text in texts for variant in (text, _in_json(text))}
    patterns = sorted(f"%{_escape(variant)}%" for variant in variants)
    for database in ("default", "read"):
        with transaction.atomic(using=database), connections[database].cursor() as cursor:
            # The statements read every row.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(_COLUMNS)
            tables: dict[str, dict[str, str]] = {}
            for table, column, data_type in cursor.fetchall():
                tables.setdefault(table, {})[column] = data_type
            for table, columns in tables.items():
                cursor.execute(
                    _count_in(table, columns), {"patterns": patterns, "texts": list(texts)}
                )
                for column, rows in zip(columns, cursor.fetchone(), strict=True):
                    if rows:
                        yield Match(database, table, column, rows)
    if rows := sum(_holds(session, texts) for session in Session.objects.iterator()):
        yield Match("default", Session._meta.db_table, "session_data, decoded", rows)
    if settings.ARCHIVE_URL and ArchivedFile.objects.exists():
        for column, rows in count_matches(Storage(), patterns).items():
            if rows:
                yield Match("archive", "event", column, rows)


def _count_in(table: str, columns: dict[str, str]) -> sql.Composed:
    counts = [
        sql.SQL("count(*) FILTER (WHERE {})").format(
            sql.SQL(
                "EXISTS (SELECT FROM unnest(%(texts)s::text[]) AS wanted (text)"
                " WHERE {column} @@ plainto_tsquery('simple', wanted.text))"
                if data_type == "tsvector"
                else "{column}::text ILIKE ANY(%(patterns)s)"
            ).format(column=sql.Identifier(column))
        )
        for column, data_type in columns.items()
    ]
    return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(counts), sql.Identifier(table))


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _in_json(text: str) -> str:
    """Return ``text`` as it is written inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _holds(session: Session, texts: Sequence[str]) -> bool:
    content = str(data_of(session)).casefold()
    return any(text.casefold() in content for text in texts)
