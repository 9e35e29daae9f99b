"""`manage.py export_orders`: writes orders, or their lines, to a file."""

import getpass
import json
import os
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.http import urlencode
from pydantic import ValidationError

from config.commands import ServiceCommand
from config.exports.models import Export
from config.http.input.query import parameter_schema
from ordering_read.exports import jobs
from ordering_read.exports.formats import FORMATS
from ordering_read.exports.lists import all_lists
from ordering_read.exports.rows import Selection
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.orders import visible_orders

_PAGE = {"page", "page_size", "cursor"}


class Command(ServiceCommand):
    help = """Write orders to a file or to the standard output, with personal data. The filters are
    those of GET /api/v1/orders. A file appears when it is complete."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=sorted(FORMATS), default="csv")
        parser.add_argument("--lines", action="store_true", help="One row per line of an order.")
        parser.add_argument("--output", type=Path, metavar="FILE", help="Default: standard output.")
        parser.add_argument(
            "--json", action="store_true", help="Print a summary as JSON; needs --output."
        )
        filters = parser.add_argument_group("filters and ordering")
        for name, schema in parameter_schema(ListOrders)["properties"].items():
            if name not in _PAGE:
                text = str(schema.get("description", "")).replace("%", "%%")
                filters.add_argument(f"--{name.replace('_', '-')}", dest=f"where_{name}", help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        output: Path | None = options["output"]
        if options["json"] and output is None:
            raise CommandError("--json prints a summary of the file: give --output.")
        export = self._export(_selection(options), output)
        if options["json"]:
            summary = {
                "file": str(output),
                "rows": export.rows_done,
                "bytes": export.size,
                "format": export.format,
                "projection_position": export.position,
            }
            self.stdout.write(json.dumps(summary))
        elif output is not None:
            self.stdout.write(
                f"{output}: {export.rows_done} rows, with all changes up to position "
                f"{export.position} of the log."
            )

    def _export(self, selection: Selection, output: Path | None) -> Export:
        requested_by = f"cli:{getpass.getuser()}"
        if output is None:
            return jobs.write(selection, sys.stdout.buffer.write, requested_by=requested_by)
        try:
            # In the same folder, so that the complete file takes its name in one step.
            with tempfile.NamedTemporaryFile(dir=output.resolve().parent, delete=False) as file:
                try:
                    export = jobs.write(selection, file.write, requested_by=requested_by)
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(file.name, output)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError as error:
            raise CommandError(f"{output} can't be written: {error.strerror}.") from error
        return export


def _selection(options: dict[str, Any]) -> Selection:
    """Return the orders that the filters in ``options`` select. Raises CommandError."""
    filters = {
        name.removeprefix("where_"): value
        for name, value in options.items()
        if name.startswith("where_") and value is not None
    }
    try:
        query = ListOrders.model_validate(filters)
    except ValidationError as error:
        texts = (f"--{item['loc']}: {item['msg']}" for item in _errors(error))
        raise CommandError("; ".join(texts)) from error
    return Selection(
        exported=all_lists()["order-lines" if options["lines"] else "orders"],
        format=options["format"],
        rows=query.select(visible_orders(query)),
        filters=urlencode(filters),
        with_personal=True,
    )


def _errors(error: ValidationError) -> list[dict[str, Any]]:
    return [
        {
            "loc": ".".join(map(str, item["loc"])).replace("_", "-") or "filters",
            "msg": item["msg"].removeprefix("Value error, "),
        }
        for item in error.errors(include_url=False, include_input=False)
    ]
