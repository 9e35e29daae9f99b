"""`manage.py place_orders`: places the orders in a file, one per line, each at most once."""

from ordering_write import client
from ordering_write.client import CreateOrder
from ordering_write.management.file_command import FileCommand, RefusedLineError, json_of

# Fields that a line can't have: they say who gives the command, when and how.
_ENVELOPE = frozenset(client.Command.model_fields) - {"command_id"}


class Command(FileCommand):
    help = """Place the orders in a file: each line is the JSON body of POST /orders, and may have a
    command_id. Continues after refused lines and reports them. Can be run again after it was
    stopped: no line is placed twice."""
    command_type = CreateOrder
    purpose = "place orders"
    done = "placed"
    user_help = "The user who orders, with their rights."

    def carry_out(self, line: bytes) -> bool:
        key = self.key_of(line, "place_orders")
        body = json_of(line)
        for name in sorted(_ENVELOPE & body.keys()):
            raise RefusedLineError(f"#/{name}: There is no such field.")
        return self.dispatch(self.command({"command_id": key, **body}))
