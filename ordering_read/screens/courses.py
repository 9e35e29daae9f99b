"""Charts of the last minutes, made on the server: a line for each stretch without a gap."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ordering_read.queries.system import WINDOW, Point

_WINDOW_SECONDS = WINDOW.total_seconds()
# The height of a chart; its width is the window in seconds.
_HEIGHT = 100.0


class Line(NamedTuple):
    """A chart of values that begin at zero; ``text`` says the same in words.

    ``stretches`` are the points of the lines, in a box of ``width`` by 100. ``most`` is the largest
    value in words, empty without values.
    """

    stretches: Sequence[str]
    width: int
    most: str
    text: str


def line(label: str, points: Sequence[Point], spell: Callable[[float], str]) -> Line:
    """Return the chart of ``points``; ``spell`` returns a value as people read it."""
    top = max((point.value for point in points), default=0.0)
    stretches: list[list[str]] = []
    for point in points:
        if point.is_first:
            stretches.append([])
        y = _HEIGHT - (point.value / top * _HEIGHT if top else 0.0)
        stretches[-1].append(f"{point.at:.0f},{y:.0f}")
    minutes = round(_WINDOW_SECONDS / 60)
    text = f"{label} in the last {minutes} minutes: no data"
    if points:
        text = (
            f"{label} in the last {minutes} minutes: "
            f"{spell(points[-1].value)} now, {spell(top)} at most"
        )
    return Line(
        stretches=[" ".join(stretch) for stretch in stretches],
        width=int(_WINDOW_SECONDS),
        most=spell(top) if points else "",
        text=text,
    )
