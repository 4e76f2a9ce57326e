"""The plots that dvc.yaml defines for a stage, as SVG pictures for trackers, which do not draw DVC's plots.

Lines (DVC's default), `bar_horizontal` and `confusion`: others stay tables. A library that draws costs more to import
than a stage that evaluates. Only numbers and the names of classes and columns are drawn, never a record.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.yaml12 import parse_yaml
from ..dvc.dvcfile import DVC_YAML, Stage

LINES, BARS, CONFUSION = "linear", "bar_horizontal", "confusion"
KINDS = (LINES, "simple", BARS, CONFUSION)
COLOURS = ("#945dd6", "#13adc7", "#f46837", "#48bb78", "#4299e1", "#ed8936", "#f56565")  # as DVC's
MOST = 60  # classes or bars, and lines of a plot: more are no picture
LEFT, TOP, WIDTH, HEIGHT = 110, 50, 420, 300
Row = dict[str, str]
Rows = list[Row]


@dataclass(frozen=True)
class Plot:
    """A plot of one table: the columns `ys` over the column `x`."""

    path: str
    title: str
    kind: str
    x: str
    ys: tuple[str, ...]
    x_label: str
    y_label: str


@dataclass(frozen=True)
class Drawn:
    """A picture, and the words in it, whole: in the picture itself long ones are cut."""

    svg: str
    words: frozenset[str]


def pictures(root: Path, stage: Stage) -> dict[str, str]:
    """The text of an SVG file by its name, for each plot of the stage that can be drawn."""
    text = (root / DVC_YAML).read_text(encoding="utf-8")
    found = pictures_of(text, stage, lambda path: (root / path).read_text(encoding="utf-8"))
    return {name: drawn.svg for name, drawn in found.items()}


def pictures_of(
    dvc_yaml: str, stage: Stage, read: Callable[[str], str | None], keep: Callable[[Row], bool] | None = None
) -> dict[str, Drawn]:
    """The same for a dvc.yaml and tables wherever they are: `read` gives the text of a table, None if it has none.

    `keep` says which rows of a table are drawn; without, all are.
    """
    found = {}
    for number, plot in enumerate(_plots(parse_yaml(dvc_yaml), stage)):
        text = read(plot.path) if plot.path.endswith(".csv") else None
        rows = [row for row in csv.DictReader(io.StringIO(text or "")) if keep is None or keep(row)]
        if drawn := draw(plot, rows):
            name = PurePosixPath(plot.path).stem
            file = f"{name}.svg" if f"{name}.svg" not in found else f"{name}-{number}.svg"
            found[file] = Drawn(drawn, _words(plot, rows))
    return found


def _words(plot: Plot, rows: Rows) -> frozenset[str]:
    """All that a picture has in letters, but for numbers on its axes."""
    names = (*((plot.x,) if plot.kind == CONFUSION else ()), *((plot.ys[0],) if plot.kind in (BARS, CONFUSION) else ()))
    return frozenset(
        [plot.title, plot.x_label, plot.y_label, *plot.ys, *(row[name] or "" for row in rows for name in names)]
    )


def _plots(document: dict[str, Any], stage: Stage) -> Iterator[Plot]:
    """What is defined of the tables of a stage. First at the top of dvc.yaml, where a plot may have several columns."""
    for name, options in _items(document.get("plots")):
        columns = options.get("y")
        tables = columns if isinstance(columns, dict) else {name: columns}
        for path, ys in tables.items():
            if path in stage.reports and len(tables) == 1:
                yield from _plot(path, {"title": name, **options}, ys)
    body = document["stages"].get(stage.module) or {}
    for path, options in _items(body.get("do", body).get("plots")):
        yield from _plot(path, options, options.get("y"))


def _items(items: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in items if isinstance(items, list) else []:
        for name, options in item.items() if isinstance(item, dict) else [(item, {})]:
            yield str(name), options or {}


def _plot(path: str, options: dict[str, Any], ys: Any) -> Iterator[Plot]:
    x, kind = options.get("x"), options.get("template", LINES)
    columns = (ys,) if isinstance(ys, str) else tuple(ys or ())
    if isinstance(x, str) and columns and kind in KINDS:
        labels = options.get("x_label", x), options.get("y_label", ", ".join(columns))
        yield Plot(path, str(options.get("title", path)), kind, x, columns, *map(str, labels))


def draw(plot: Plot, rows: Rows) -> str | None:
    """The picture of a table; None where it lacks a column, is empty, or is too large for one."""
    if not rows or not {plot.x, *plot.ys} <= rows[0].keys():
        return None
    try:
        if plot.kind == CONFUSION:
            return _confusion(plot, rows)
        return _bars(plot, rows) if plot.kind == BARS else _lines(plot, rows)
    except ValueError:  # text where numbers should be
        return None


def _confusion(plot: Plot, rows: Rows) -> str | None:
    """How often each pair occurs: what is true to the right, as DVC draws it, what was predicted downwards."""
    counts = Counter((row[plot.x], row[plot.ys[0]]) for row in rows)
    names = sorted({name for pair in counts for name in pair})
    if len(names) > MOST:
        return None
    side, most = min(40.0, 600 / len(names)), max(counts.values())
    parts, size = [], side * len(names)
    for column, actual in enumerate(names):
        middle = LEFT + (column + 0.5) * side
        parts.append(_text(middle, TOP + size + 14, actual, "end", turn=-45))
        parts.append(_text(LEFT - 6, TOP + (column + 0.5) * side + 4, actual, "end"))
        for row, predicted in enumerate(names):
            count = counts[actual, predicted]
            strength = math.sqrt(count / most)  # a single mistake among many can be seen
            red, green, blue = (round(255 + (full - 255) * strength) for full in (33, 66, 138))
            top = TOP + row * side
            parts.append(
                f'<rect x="{LEFT + column * side:.1f}" y="{top:.1f}" width="{side:.1f}" height="{side:.1f}" '
                f'fill="rgb({red},{green},{blue})" stroke="#ddd"/>'
            )
            if count and side >= 18:
                colour = "#fff" if strength > 0.6 else "#000"
                parts.append(_text(middle, top + side / 2 + 4, str(count), "middle", fill=colour))
    return _svg(plot, parts, size, size, bottom=90)


def _lines(plot: Plot, rows: Rows) -> str | None:
    """A line for each column."""
    xs = [float(row[plot.x]) for row in rows]
    lines = {name: [float(row[name]) for row in rows] for name in plot.ys[:MOST]}
    known = [value for values in lines.values() for value in values if math.isfinite(value)]
    if not known or not all(map(math.isfinite, xs)):
        return None
    (left, right), (low, high) = _span(xs), _span(known)
    parts = []
    for step in range(5):
        share = step / 4
        x, y = LEFT + share * WIDTH, TOP + HEIGHT * (1 - share)
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{low + share * (high - low):.3g}", "end"))
        parts.append(_text(x, TOP + HEIGHT + 18, f"{left + share * (right - left):.4g}", "middle"))
    for number, (name, values) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(
            f"{LEFT + (x - left) / (right - left) * WIDTH:.1f},{TOP + (high - y) / (high - low) * HEIGHT:.1f}"
            for x, y in zip(xs, values, strict=True)
            if math.isfinite(y)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(LEFT + WIDTH + 10, TOP + 12 + 18 * number, name, "start", fill=colour))
    return _svg(plot, parts, WIDTH, HEIGHT)


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _bars(plot: Plot, rows: Rows) -> str | None:
    """A bar for each row: its length is in the column `x`, its name in the column `y`."""
    if len(rows) > MOST:
        return None
    lengths = [float(row[plot.x]) for row in rows]
    most = max(*lengths, 1.0)
    parts, height = [], 24 * len(rows)
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        top = TOP + 24 * number
        width = max(0.0, length) / most * WIDTH if math.isfinite(length) else 0.0
        parts.append(f'<rect x="{LEFT}" y="{top + 3}" width="{width:.1f}" height="18" fill="{COLOURS[0]}"/>')
        parts.append(_text(LEFT - 6, top + 16, row[plot.ys[0]], "end"))
        parts.append(_text(LEFT + width + 5, top + 16, f"{length:.3g}", "start"))
    return _svg(plot, parts, WIDTH, height)


def _text(x: float, y: float, text: str, anchor: str, *, fill: str = "#333", turn: int = 0) -> str:
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    shown = text if len(text) <= 16 else f"{text[:15]}…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}"{turned}>{escape(shown)}</text>'


def _svg(plot: Plot, parts: list[str], width: float, height: float, bottom: int = 50) -> str:
    whole = f"{LEFT + width + 130:.0f}", f"{TOP + height + bottom:.0f}"
    middle = TOP + height / 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole[0]}" height="{whole[1]}" '
            f'viewBox="0 0 {whole[0]} {whole[1]}" font-family="sans-serif" font-size="12">',
            f"<title>{escape(plot.title)}</title>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="{LEFT}" y="28" font-size="15" font-weight="bold">{escape(plot.title)}</text>',
            *parts,
            f'<text x="{LEFT + width / 2:.1f}" y="{TOP + height + bottom - 8:.1f}" text-anchor="middle">'
            f"{escape(plot.x_label)}</text>",
            f'<text x="20" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 20 {middle:.1f})">'
            f"{escape(plot.y_label)}</text>",
            "</svg>\n",
        ]
    )
