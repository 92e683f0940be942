"""Small plots of the last hour as SVG paths; pure.

In: points of the history. Out: `Plot`s, which a template draws. Values that are missing leave a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from bridge.clock import HOUR, SECOND, Millis
from bridge.metrics import Point
from bridge.web.languages import Language, Span

WIDTH, HEIGHT = 240, 60
_HEADROOM = 4


class Plot(msgspec.Struct, frozen=True):
    """One plot: its title, the newest value in words, a description for those who cannot see it, and its lines.

    ``lines``: the path of each line in SVG's language, in a field of `WIDTH` by `HEIGHT`.
    """

    title: str
    now: str
    description: str
    lines: Sequence[str]


def plots(points: Sequence[Point], now: Millis, language: Language) -> list[Plot]:
    """Return the plots of the last hour."""
    return [
        _plot("webhooks", points, now, language, _rate(language), lambda one: one.webhooks),
        _plot("accepted", points, now, language, _rate(language), lambda one: one.accepted),
        _plot("waiting", points, now, language, lambda value: f"{value:,.0f}", lambda one: one.waiting),
        _delays(points, now, language),
    ]


def _rate(language: Language) -> Callable[[float], str]:
    return lambda value: language.text("plot_unit_per_minute", value=f"{value:,.0f}")


def _plot(
    name: str,
    points: Sequence[Point],
    now: Millis,
    language: Language,
    written: Callable[[float], str],
    value: Callable[[Point], float],
) -> Plot:
    values: list[float | None] = [value(one) for one in points]
    most = max((one for one in values if one is not None), default=0.0)
    title = language.text(f"plot_{name}")
    if not points:
        return Plot(title, "", language.text("plot_empty"), [])
    newest = written(value(points[-1]))
    text = language.text("plot_description", title=title, now=newest, most=written(most))
    return Plot(title, newest, text, [path(_placed(points, values, now), most)])


def _delays(points: Sequence[Point], now: Millis, language: Language) -> Plot:
    title = language.text("plot_delay")
    if not points:
        return Plot(title, "", language.text("plot_empty"), [])
    p50, p99 = [one.delay_p50 for one in points], [one.delay_p99 for one in points]
    most = max((one for one in p99 if one is not None), default=0.0)
    newest = language.text("plot_unit_delay", p50=_delay(p50[-1], language), p99=_delay(p99[-1], language))
    text = language.text("plot_description", title=title, now=newest, most=_delay(most or None, language))
    return Plot(title, newest, text, [path(_placed(points, values, now), most) for values in (p50, p99)])


def _delay(seconds: float | None, language: Language) -> str:
    if seconds is None:
        return language.text("plot_no_delay")
    return f"{seconds * SECOND:.0f} ms" if seconds < 1 else language.span(Span(seconds * SECOND))


def _placed(
    points: Sequence[Point], values: Sequence[float | None], now: Millis
) -> Iterator[tuple[float, float | None]]:
    """Yield each value with its place on the axis of time, 0 to 1."""
    return ((1 - (now - point.at) / HOUR, value) for point, value in zip(points, values, strict=True))


def path(placed: Iterator[tuple[float, float | None]], most: float) -> str:
    """Return a line in SVG's language through values that are placed between 0 and 1, the highest at ``most``."""
    parts: list[str] = []
    is_drawing = False
    for place, value in placed:
        if value is None or not 0 <= place <= 1:
            is_drawing = False
            continue
        height = HEIGHT - (HEIGHT - _HEADROOM) * (value / most if most else 0)
        parts.append(f"{'L' if is_drawing else 'M'}{place * WIDTH:.1f} {height:.1f}")
        is_drawing = True
    return "".join(parts)
