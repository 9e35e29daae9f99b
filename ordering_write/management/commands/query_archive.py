"""`manage.py query_archive`: answers a SELECT from the files of the archive."""

import csv
import json
from argparse import ArgumentParser
from typing import Any

from config.commands import positive
from ordering_write.archive import Storage, query
from ordering_write.archive.querying import Answer
from ordering_write.management.archive_command import ArchiveCommand


class Command(ArchiveCommand):
    help = """Print the rows of a SELECT in the SQL of DuckDB, which reads the table `event` of all
    archived events. The database isn't asked, and nothing is changed."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("sql", metavar="SELECT", help="Such as: SELECT count(*) FROM event")
        parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
        parser.add_argument(
            "--limit", type=positive, default=1_000, help="The most rows (%(default)s)."
        )
        parser.add_argument(
            "--seconds", type=positive, default=60, help="The most seconds (%(default)s)."
        )
        parser.add_argument(
            "--megabytes", type=positive, default=1_000, help="The most memory (%(default)s)."
        )

    def handle(self, *args: Any, sql: str, format: str, **options: Any) -> None:
        bounds = {name: options[name] for name in ("limit", "seconds", "megabytes")}
        with self.errors_as_sentences():
            answer = query(Storage(), sql, **bounds)
        getattr(self, f"_write_{format}")(answer)
        if answer.is_cut:
            self.stderr.write(f"There are more rows than {options['limit']:,}: see --limit.")

    def _write_table(self, answer: Answer) -> None:
        texts = [list(map(_text, row)) for row in (answer.columns, *answer.rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        for row in texts:
            cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    def _write_csv(self, answer: Answer) -> None:
        writer = csv.writer(self.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)

    def _write_json(self, answer: Answer) -> None:
        """Write one object a line."""
        for row in answer.rows:
            members = dict(zip(answer.columns, row, strict=True))
            self.stdout.write(json.dumps(members, default=str, ensure_ascii=False))


def _text(value: Any) -> str:
    return "" if value is None else str(value)
