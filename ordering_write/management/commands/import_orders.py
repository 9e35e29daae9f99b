"""`manage.py import_orders`: imports the orders in a file, one per line, each at most once."""

from uuid import uuid5

from config.fields.text import identity
from ordering_write import client
from ordering_write.client import ImportOrder
from ordering_write.domain.errors import FieldError, IdempotencyKeyReusedError
from ordering_write.domain.order_numbers import spelled_order_number
from ordering_write.domain.values import IMPORT
from ordering_write.management.file_command import FileCommand, RefusedLineError, json_of

# Fields that a line can't have: they say who gives the command, when and how.
_ENVELOPE = frozenset(client.Command.model_fields)


class Command(FileCommand):
    help = """Import the orders of the past in a file: each line is an order in JSON, with its
    number and everything that happened to it (docs/how-to/load-files.md). No policy acts; only
    units that are still to be sent are reserved. Continues after refused lines and reports them.
    Can be run again: no number is imported twice."""
    command_type = ImportOrder
    purpose = "import orders"
    done = "imported"
    channel = IMPORT
    user_help = "The user who imports, with their rights."

    def carry_out(self, line: bytes) -> bool:
        body = json_of(line)
        for name in sorted(_ENVELOPE & body.keys()):
            raise RefusedLineError(f"#/{name}: There is no such field.")
        command = self.command(body)
        name = _name(command)
        key = uuid5(self.user.pk, f"import_orders {name}")
        try:
            command = command.model_copy(update={"command_id": key})
            return self.dispatch(command)
        except IdempotencyKeyReusedError as error:
            raise RefusedLineError(
                f"The order with the {name} was imported before, with another content."
            ) from error
        except FieldError as error:
            raise RefusedLineError(f"{error.pointer}: {error}") from error


def _name(command: ImportOrder) -> str:
    """Return the number or reference that names an order in the file, in its compared form."""
    if command.number is not None:
        return f"number {spelled_order_number(command.number)}"
    return f"external reference {identity(command.external_reference or '')}"
