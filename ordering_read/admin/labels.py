"""Labels of commands, fields and changes, as people read them on the admin pages."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from inspect import cleandoc
from typing import Any, NamedTuple

from django.utils.formats import date_format
from django.utils.text import camel_case_to_spaces, capfirst
from django.utils.timezone import localtime

from config.http.admin import parse_uuid
from ordering_read.models import ParkedEvent
from ordering_read.queries.fulfilment import Readiness
from ordering_read.queries.order_facts import words
from ordering_read.queries.work import Work
from ordering_write.client import Command
from ordering_write.published import events as e

# Returns the label of the part with an id, or an empty text.
NameOf = Callable[[str], str]

# Headings of the families of commands, in the order in which a page shows them.
GROUPS = {
    "placing": "Order",
    "editing": "Items",
    "adjusting": "Price",
    "shipping": "Shipments",
    "paying": "Payments",
    "returning": "Returns",
    "annotating": "Notes",
}
# The words for the kinds of work, as in "34 to confirm".
WORK = {
    Work.TO_CONFIRM: "to confirm",
    Work.TO_PACK: "to pack",
    Work.TO_DISPATCH: "to dispatch",
    Work.ON_HOLD: "on hold",
    Work.RETURNS: "returns waiting",
    Work.CREDIT_OWED: "credit owed",
    Work.ATTENTION: "money to look at",
    Work.LOW_STOCK: "low in stock",
    Work.GOODS_LATE: "expected and late",
    Work.PARKED: "parked by an error",
    Work.GIVEN_UP: "given up by policies",
}
# Channels whose names aren't words of people.
CHANNELS = {"cli": "command line", "api": "API", "python": "program"}
# The words for the reasons why an event is parked, and the advice for each.
PARKED_BECAUSE = {
    ParkedEvent.Category.UNKNOWN_TYPE: (
        "this release doesn't know the event",
        "Deploy the release that wrote the event on all machines, then retry.",
    ),
    ParkedEvent.Category.UNDECODABLE: (
        "the event can't be read",
        "Deploy the release that can read the event, then retry.",
    ),
    ParkedEvent.Category.PROJECTION_ERROR: (
        "the program failed on it",
        "Deploy the release with the correction, then retry. If the lists can do without the "
        "event, skip it.",
    ),
    ParkedEvent.Category.CRASH: (
        "it killed the worker",
        "Find the cause in the logs of the workers, correct it, then retry.",
    ),
    ParkedEvent.Category.WAITING: (
        "it waits for an earlier change",
        "Retry or skip the earlier change: this one follows by itself.",
    ),
}
# The words for the readiness of an order.
READINESS = {
    Readiness.GREEN: "Ready",
    Readiness.AMBER: "Partly ready",
    Readiness.RED: "Not ready",
}
# The states of which a preview shows the words.
_CODES = {
    state.value
    for states in (
        e.OrderStatus,
        e.PaymentStatus,
        e.FulfilmentStatus,
        e.ReturnStatus,
        e.HoldReason,
    )
    for state in states
}
# Parts that an order knows by ids alone: the preview shows what people typed instead.
_WITHOUT_TEXT = "/notes/"
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)")
# Labels of fields that can't be derived from the field's name.
_FIELD_LABELS = {"sku": "SKU", "line1": "Address line 1", "line2": "Address line 2"}


# The headings of fields on the form of a new product or customer, and what people should know about
# a field. MORE is folded while its fields are empty.
MORE = "More"
FIELD_GROUPS = {
    "on_hand": "Stock",
    "reorder_point": "Stock",
    "backorderable": "Stock",
    "list_price": "Price",
    "currency": "Price",
    "tax_class": "Price",
    "requires_shipping": "Delivery",
    "metadata": MORE,
}
PRODUCT_HELP = {
    "sku": "The short name by which the shop and its papers call the product, such as LAMP-1. It "
    "stays as it is.",
    "name": "As customers read it.",
    "on_hand": "The units on the shelf now.",
    "reorder_point": "With so many units or fewer to sell, the product is low in stock.",
    "backorderable": "Tick to sell more units than are on hand. They are sent when they come in.",
    "list_price": "The price of one unit, such as 39.90. Without it, only people who may set "
    "prices can sell the product.",
    "currency": "Leave empty for the currency of the shop.",
    "tax_class": "Only if the product is taxed at another rate than most: the name of the class, "
    "such as food.",
    "requires_shipping": "Untick for what customers pick up or download.",
}
CUSTOMER_HELP = {
    "name": "As it stands on parcels and invoices.",
    "email": "Messages about orders go there. Each customer has an address of their own.",
    "phone": "Customers are found by the last digits.",
}


def command_slug(command_type: type[Command]) -> str:
    """Return the name of a command in URLs: ``cancel_order``."""
    return camel_case_to_spaces(command_type.__name__).replace(" ", "_")


def command_label(command_type: type[Command]) -> str:
    """Return the label of a command's button: ``Cancel order``."""
    return class_label(command_type.__name__)


def command_description(command_type: type[Command]) -> str:
    """Return the first paragraph of the docstring of a command, without its markup.

    The other paragraphs are about single fields and are for programs.
    """
    return cleandoc(command_type.__doc__ or "").partition("\n\n")[0].replace("``", "")


def class_label(class_name: str) -> str:
    """Return the label of an event or a command by its class name: ``Order cancelled``."""
    label = camel_case_to_spaces(class_name).replace("stock item", "product")
    return capfirst(label.replace("po number", "PO number"))


def field_label(name: str) -> str:
    """Return the label of a field: ``Shipping address``."""
    return _FIELD_LABELS.get(name) or capfirst(name.removesuffix("_id").replace("_", " "))


class ChangeLabel(NamedTuple):
    """One change of a preview: the label of the field, and its values before and after."""

    field: str
    before: str
    after: str


def change_labels(changes: Iterable[Any], name_of: NameOf) -> list[ChangeLabel]:
    """Return the changes of a preview as people read them.

    ``name_of`` returns the label of an id. Ids without a label are left out: they mean nothing to
    people.
    """
    labels = [
        ChangeLabel(
            _path_label(change.path, name_of),
            _text(change.before, name_of),
            _text(change.after, name_of),
        )
        for change in changes
        if not change.path.startswith(_WITHOUT_TEXT)
    ]
    return [label for label in labels if label.before != label.after]


def _path_label(path: str, name_of: NameOf) -> str:
    """Return the label of a path: "1. Desk lamp, Cancelled" for ``/lines/{id}/cancelled``."""
    steps = path.split("/")[1:]
    if len(steps) > 1 and steps[0] == "lines":
        del steps[0]
    if len(steps) > 1 and steps[-1] == "amount":
        del steps[-1]
    return ", ".join(filter(None, (_step(step, name_of) for step in steps)))


def _step(step: str, name_of: NameOf) -> str:
    return name_of(step) if parse_uuid(step) else field_label(step)


def _text(value: Any, name_of: NameOf) -> str:
    match value:
        case None | "":
            return ""
        case bool():
            return "yes" if value else "no"
        case {"amount": amount, "currency": currency}:
            return f"{Decimal(amount):,} {currency}"
        case Decimal():
            return f"{value:,}"
        case Mapping():
            texts = {
                _step(key, name_of): _text(part, name_of) for key, part in value.items() if part
            }
            return ", ".join(
                f"{name}: {text}" if name else text for name, text in texts.items() if text
            )
        case list() | tuple():
            return "; ".join(_text(part, name_of) for part in value)
        case datetime():
            return date_format(localtime(value), "j M Y, H:i")
    text = str(value)
    if text in _CODES:
        return words(text)
    if _ISO_TIME.fullmatch(text):
        return _text(datetime.fromisoformat(text), name_of)
    return name_of(text) if parse_uuid(text) else text
