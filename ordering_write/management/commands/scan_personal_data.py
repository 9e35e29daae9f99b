"""`manage.py scan_personal_data`: where in the databases somebody's personal data stand."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand, CommandError
from django.db import connections, transaction
from psycopg import sql

from config.accounts.models import User
from ordering_write.domain.values import ERASED
from ordering_write.models import Customer, PersonalData

# Whoever has such a field in common with others isn't told by it.
_SHARED = {"city", "region", "postal_code", "country"}

_COLUMNS = """
SELECT table_name, column_name, udt_name
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = ANY(current_schemas(false)) AND table_type = 'BASE TABLE'
  AND udt_name IN ('text', 'varchar', 'bpchar', '_text', '_varchar', 'json', 'jsonb', 'tsvector')
ORDER BY table_name, ordinal_position
"""


class Place(NamedTuple):
    """A column in which a text stands, and in how many rows."""

    database: str
    table: str
    column: str
    rows: int

    def __str__(self) -> str:
        return f"{self.database}: {self.table}.{self.column}: {self.rows:,}"


class Command(BaseCommand):
    help = """Search every text, JSON and search column of every table of both databases, and the
    sessions, for texts, upper or lower case, or for what is known of a customer. Each column in
    which one stands is a line with its number of rows; the exit code is 1 when there is any. What
    was known of a customer who was erased is known no more: give it as texts."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--customer", type=UUID, metavar="ID")
        what.add_argument("--text", action="append", help="May be given more than once.")

    def handle(
        self, *args: Any, customer: UUID | None, text: list[str] | None, **options: Any
    ) -> None:
        texts = known_of(customer) if customer else text or []
        found = sorted(places_of(texts))
        for place in found:
            self.stdout.write(str(place))
        if found:
            raise CommandError(f"Found in {len(found)} column{'s' if len(found) > 1 else ''}.")
        self.stdout.write("Found nowhere.")


def known_of(customer_id: UUID) -> list[str]:
    """What is written of a customer and of nobody else, as far as one can tell: names, addresses,
    notes. Raises CommandError when there is no such customer, or not any more."""
    customer = Customer.objects.filter(pk=customer_id).first()
    if customer is None:
        raise CommandError(f"There is no customer {customer_id}.")
    if customer.status == Customer.Status.ERASED:
        raise CommandError(f"Customer {customer_id} was erased; give the texts to search for.")
    fields = PersonalData.objects.filter(customer_id=customer_id).values_list("fields", flat=True)
    texts = {text for each in fields for text in _texts(each)}
    for account in User.objects.filter(customer_id=customer_id):
        texts |= {account.username, account.email, account.first_name, account.last_name}
    return sorted(texts - {"", ERASED})


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, each in value.items():
                if name not in _SHARED:
                    yield from _texts(each)


def places_of(texts: Sequence[str]) -> Iterator[Place]:
    """Where any of ``texts`` stands in the databases; upper and lower case are the same."""
    patterns = sorted({f"%{_escaped(each)}%" for text in texts for each in (text, _in_json(text))})
    for database in ("default", "read"):
        with transaction.atomic(using=database), connections[database].cursor() as cursor:
            # It reads every row that there is.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(_COLUMNS)
            tables: dict[str, dict[str, str]] = {}
            for table, column, kind in cursor.fetchall():
                tables.setdefault(table, {})[column] = kind
            for table, columns in tables.items():
                cursor.execute(
                    _count_in(table, columns), {"patterns": patterns, "texts": list(texts)}
                )
                for column, rows in zip(columns, cursor.fetchone(), strict=True):
                    if rows:
                        yield Place(database, table, column, rows)
    if rows := sum(_stands_in(session, texts) for session in Session.objects.iterator()):
        yield Place("default", Session._meta.db_table, "session_data, decoded", rows)


def _count_in(table: str, columns: dict[str, str]) -> sql.Composed:
    counts = [
        sql.SQL("count(*) FILTER (WHERE {})").format(
            sql.SQL(
                "EXISTS (SELECT FROM unnest(%(texts)s::text[]) AS wanted (text)"
                " WHERE {column} @@ plainto_tsquery('simple', wanted.text))"
                if kind == "tsvector"
                else "{column}::text ILIKE ANY(%(patterns)s)"
            ).format(column=sql.Identifier(column))
        )
        for column, kind in columns.items()
    ]
    return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(counts), sql.Identifier(table))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _in_json(text: str) -> str:
    """``text`` as it stands inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _stands_in(session: Session, texts: Sequence[str]) -> bool:
    content = str(session.get_decoded()).casefold()
    return any(text.casefold() in content for text in texts)
