"""What a projection is, and where the engine finds them: it knows projections and no order."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, Literal

from django.db.models import Model

from ordering_write.published import DomainEvent


class Projector(ABC):
    """Turns events into the rows of its read models.

    ``version`` is raised when the code would make other rows out of the same events: the rows
    are then outdated until they are rebuilt. ``sliced_by`` says how rows relate to streams:
    "stream" when each row belongs to one stream, None when rows mix them.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    events: ClassVar[tuple[type[DomainEvent], ...]]
    models: ClassVar[tuple[type[Model], ...]]
    sliced_by: ClassVar[Literal["stream"] | None]

    @abstractmethod
    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        """Write what ``batch`` changes to the rows of the generation ``projection_id``.

        ``batch`` holds events of the types in ``events`` only, in the order of the log; where a
        generation is filled that is sliced by stream, one stream after the other. Events of a
        stream that was parked come after later ones of others, so that the order between streams
        mustn't matter to rows that mix them. Events are folded in memory, then written by a number
        of statements that doesn't depend on their number. The engine has opened the transaction in
        which the checkpoint moves too; where this raises, it finds the event that can't be applied
        by smaller batches, and parks it.
        """


class UnknownProjectionError(Exception):
    """There is no projection of that name."""

    def __init__(self, name: str) -> None:
        known = ", ".join(sorted(_projectors)) or "none"
        super().__init__(f"There is no projection {name!r}; there are: {known}.")


_projectors: dict[str, Projector] = {}


def register(*projectors: Projector) -> None:
    """Make the engine run these projections. Raises ValueError when a name is taken."""
    for projector in projectors:
        if projector.name in _projectors:
            raise ValueError(f"Two projections are named {projector.name!r}.")
        _projectors[projector.name] = projector


def registered() -> dict[str, Projector]:
    """All projections by name, in the order of their registration."""
    return dict(_projectors)


def projector(name: str) -> Projector:
    """The projection of that name. Raises UnknownProjectionError."""
    try:
        return _projectors[name]
    except KeyError:
        raise UnknownProjectionError(name) from None


_Writing = Literal["nothing", "changes", "first rows"]
_writing: ContextVar[_Writing] = ContextVar("writing", default="nothing")


@contextmanager
def writing(*, filling: bool = False) -> Iterator[None]:
    """Inside it read models may be written; for the engine, round a projection.

    ``filling`` says that no event was applied to this generation before, or will be again.
    """
    token = _writing.set("first rows" if filling else "changes")
    try:
        yield
    finally:
        _writing.reset(token)


def is_writing() -> bool:
    """Whether we are inside ``writing()``."""
    return _writing.get() != "nothing"


def is_filling() -> bool:
    """Whether a generation is filled: a row that an event begins can't be there yet."""
    return _writing.get() == "first rows"
