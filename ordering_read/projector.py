"""The base class of projections, and their registry.

The engine depends on this module only, not on orders or stock.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, Literal

from django.db.models import Model

from config.fields.names import check_name, taken
from ordering_write.published import DomainEvent


class Projector(ABC):
    """Turns events into the rows of its read models.

    Authors increase ``version`` when the code makes other rows out of the same events: the stored
    rows are then outdated until a rebuild. ``sliced_by`` is "stream" when each row belongs to one
    stream, None when rows mix streams.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    events: ClassVar[tuple[type[DomainEvent], ...]]
    models: ClassVar[tuple[type[Model], ...]]
    sliced_by: ClassVar[Literal["stream"] | None]

    @abstractmethod
    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        """Apply ``batch`` to the rows of the generation ``projection_id``.

        ``batch`` holds events of the types in ``events`` only, in the order of the log. A fill of a
        generation that is sliced by stream passes one stream after the other. Events of a stream
        that was parked come after later events of other streams, so the order between streams
        mustn't matter to rows that mix them.

        Fold the events in memory, then write them by a number of statements that doesn't depend on
        the number of events. The engine has opened the transaction in which the checkpoint moves.
        When ``apply`` raises an error, the engine tries smaller batches until it finds the event
        that can't be applied, and parks this event.
        """


class UnknownProjectionError(Exception):
    """There is no projection with the given name."""

    def __init__(self, name: str) -> None:
        names = ", ".join(sorted(_projectors)) or "none"
        super().__init__(f"There is no projection {name!r}; there are: {names}.")


_projectors: dict[str, Projector] = {}
_labels: dict[str, str] = {}
# A sentence names at most this many projections.
_NAMED = 3


def register(projector: Projector, *, label: str) -> None:
    """Add a projection to the registry.

    Raises RegistrationError for a name that is taken or breaks the rule of ``check_name``.

    ``label`` is the word of people for the rows, in the plural ("orders"). The code of a projection
    doesn't hold it, because a change of that code makes the rows outdated.
    """
    name, module = projector.name, type(projector).__module__
    check_name("projection", name, module=module)
    for model in projector.models:
        check_name("table", model._meta.db_table, module=module)
    if name in _projectors:
        raise taken("projection", name, type(_projectors[name]).__module__, module)
    _projectors[name] = projector
    _labels[name] = label


def labels(names: Collection[str]) -> str:
    """Return the labels of the projections ``names`` as a part of a sentence, in the plural."""
    if len(names) > _NAMED and len(names) == len(_projectors):
        return "all lists"
    found = [_labels[projector(name).name] for name in names]
    if len(found) > _NAMED:
        found[_NAMED - 1 :] = [f"{len(found) - _NAMED + 1} more lists"]
    *others, last = found
    return f"{', '.join(others)} and {last}" if others else last


def registered() -> dict[str, Projector]:
    """Return all projections by name, in the order of their registration."""
    return dict(_projectors)


def projector(name: str) -> Projector:
    """Return the projection called ``name``. Raises UnknownProjectionError."""
    try:
        return _projectors[name]
    except KeyError:
        raise UnknownProjectionError(name) from None


_Writing = Literal["nothing", "changes", "new events", "first rows"]
_writing: ContextVar[_Writing] = ContextVar("writing", default="nothing")


@contextmanager
def writing(*, once: bool = False, filling: bool = False) -> Iterator[None]:
    """Allow writes to read models inside the block; the engine runs projections in it.

    With ``once``, the caller promises that each event in the block is applied to this generation
    only once, so rows that an event creates needn't be looked for. ``filling`` promises the same
    for many events, whose rows are best copied.
    """
    token = _writing.set("first rows" if filling else "new events" if once else "changes")
    try:
        yield
    finally:
        _writing.reset(token)


def is_writing() -> bool:
    """Return True inside ``writing()``."""
    return _writing.get() != "nothing"


def applies_once() -> bool:
    """Return True inside ``writing(once=True)`` and ``writing(filling=True)``: rows that an event
    creates can't exist yet."""
    return _writing.get() in ("new events", "first rows")


def is_filling() -> bool:
    """Return True inside ``writing(filling=True)``: there are many rows to write."""
    return _writing.get() == "first rows"
