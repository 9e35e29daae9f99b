"""The base of the commands of `manage.py` that read a CSV file of products, a product per line."""

import csv
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, ClassVar

from django.core.management.base import CommandError

from ordering_write.management.file_command import FileCommand, RefusedLineError, lines_of
from ordering_write.models import StockItem

# The column that names the product, in place of an id.
SKU = "sku"
_DELIMITERS = ",;\t"
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)


class CsvCommand(FileCommand):
    """Carries out each line of a CSV file in UTF-8, whose first line names the columns.

    The columns are separated by commas, semicolons or tabs. ``required`` and ``optional`` are the
    columns beside the SKU, ``integers`` those of whole numbers. An empty cell is left out.
    """

    required: ClassVar[Sequence[str]] = ()
    optional: ClassVar[Sequence[str]] = ()
    integers: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def change(self, product: StockItem, cells: Mapping[str, Any], line: bytes) -> bool:
        """Change ``product`` as the ``cells`` of ``line`` say, by column; see ``carry_out``."""

    def lines(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        lines = lines_of(file)
        if (first := next(lines, None)) is None:
            return
        self._set_header(first[1])
        yield from lines

    def _set_header(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        self._delimiter = max(_DELIMITERS, key=text.count)
        try:
            columns = [cell.strip().lower() for cell in _split(line, self._delimiter)]
        except RefusedLineError as error:
            raise CommandError(f"{self.path}: {error}") from error
        names = [SKU, *self.required, *self.optional]
        for column in columns:
            if column not in names:
                raise CommandError(f"There is no column {column!r}; there are {', '.join(names)}.")
            if columns.count(column) > 1:
                raise CommandError(f"The column {column} appears twice.")
        for column in (SKU, *self.required):
            if column not in columns:
                raise CommandError(f"The first line must name the column {column}.")
        self._columns = columns

    def carry_out(self, line: bytes) -> bool:
        cells = self._cells(line)
        sku = cells.pop(SKU, "")
        product = StockItem.find_by_sku([sku]).get(sku)
        if product is None:
            raise RefusedLineError(f"There is no product with the SKU {sku}.")
        return self.change(product, cells, line)

    def _cells(self, line: bytes) -> dict[str, Any]:
        """Return the cells of ``line`` that aren't empty, by column. Raises RefusedLineError."""
        texts = [text.strip() for text in _split(line, self._delimiter)]
        if len(texts) != len(self._columns):
            raise RefusedLineError(
                f"The line has {len(texts)} cells, the first line has {len(self._columns)}."
            )
        return {
            column: int(text) if column in self.integers and _INTEGER.fullmatch(text) else text
            for column, text in zip(self._columns, texts, strict=True)
            if text
        }


def _split(line: bytes, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.decode()], delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        raise RefusedLineError(f"The line is not UTF-8 at byte {error.start}.") from error
    except csv.Error as error:
        raise RefusedLineError(f"The line is not CSV: {error}.") from error
