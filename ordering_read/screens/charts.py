"""Charts that are made on the server, as SVG with the same values in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

# Labels below a chart that fit on a phone.
_MOST_LABELS = 5
# The box of the bars in a chart with axes, in percent of the whole chart.
_LEFT, _TOP, _WIDTH, _HEIGHT = 11, 5, 84, 83
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


class Value(NamedTuple):
    """A value of a chart: a short label such as "1 Mar", the amount, and both in words."""

    label: str
    amount: Decimal
    text: str


class Bar(NamedTuple):
    """A bar of a chart whose values lie between 0 and 100; ``text`` says the same in words."""

    x: int
    y: float
    height: float
    text: str


class Tick(NamedTuple):
    """A line across a chart, or a label below it, at a place in percent of the whole chart."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A bar for each value. A chart without axes is as small as a line of a table."""

    label: str
    bars: Sequence[Bar]
    ticks: Sequence[Tick] = ()
    labels: Sequence[Tick] = ()
    # The box of the bars in percent, beside the axes.
    left: int = _LEFT
    top: int = _TOP
    width: int = _WIDTH
    height: int = _HEIGHT


def small_chart(label: str, values: Sequence[Value]) -> Chart:
    """Return a chart without axes; values below zero hang from the line of zero."""
    amounts = [value.amount for value in values]
    return Chart(label=label, bars=_bars(values, _bottom(amounts), _top(amounts)))


def chart(label: str, values: Sequence[Value]) -> Chart:
    """Return a chart with axes: lines at round amounts, and some labels below the bars."""
    amounts = [value.amount for value in values]
    bottom, top = _bottom(amounts), _top(amounts)
    step = _step((top - bottom) or Decimal(1))
    low = (bottom / step).to_integral_value(ROUND_FLOOR) * step
    high = max((top / step).to_integral_value(ROUND_CEILING) * step, low + step)
    count = int((high - low) / step)
    ticks = [
        Tick(_TOP + _HEIGHT * (1 - number / count), short(low + step * number))
        for number in range(count + 1)
    ]
    every = -(-len(values) // _MOST_LABELS)
    labels = [
        Tick(_LEFT + _WIDTH * (number + 0.5) / len(values), value.label)
        for number, value in enumerate(values)
        if number % every == every // 2
    ]
    return Chart(label=label, bars=_bars(values, low, high), ticks=ticks, labels=labels)


def short(amount: Decimal) -> str:
    """Return a round amount in few characters: 1500, 25k, 3M."""
    if abs(amount) >= 1_000_000:
        return f"{_plain(amount / 1_000_000)}M"
    if abs(amount) >= 10_000:
        return f"{_plain(amount / 1_000)}k"
    return _plain(amount)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _bottom(amounts: Sequence[Decimal]) -> Decimal:
    return min([*amounts, Decimal(0)])


def _top(amounts: Sequence[Decimal]) -> Decimal:
    return max([*amounts, Decimal(0)])


def _step(size: Decimal) -> Decimal:
    """Return the distance of three or four lines across ``size``: a round amount."""
    power = Decimal(10) ** (size / 4).adjusted()
    return next(step * power for step in _STEPS if step * power * 4 >= size)


def _bars(values: Sequence[Value], bottom: Decimal, top: Decimal) -> list[Bar]:
    scale = Decimal(100) / ((top - bottom) or Decimal(1))
    return [
        Bar(
            x=number,
            y=float((top - max(value.amount, Decimal(0))) * scale),
            height=float(abs(value.amount) * scale),
            text=value.text,
        )
        for number, value in enumerate(values)
    ]
