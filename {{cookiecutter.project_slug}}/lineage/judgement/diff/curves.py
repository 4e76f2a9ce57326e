"""Curves: the plots of numbers by step that trainings wrote, both sides in one drawing."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from ...base.errors import LineageError
from ...dvc.dvcfile import locked_hash
from .sides import Side

MOST = 400  # points of a line
Points = list[list[float]]


def curves(a: Side, b: Side, unknown: list[str]) -> list[dict[str, Any]]:
    """Each column of numbers of the CSV files of trainings over the first one: `name`, `x`, points of `a` and `b`.

    What cannot be had is said in `unknown`.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for key, side in (("a", a), ("b", b)):
        for path, text in _files(side, unknown).items():
            for name, x, points in _columns(text):
                curve = found.setdefault((path, name), {"file": path, "name": name, "x": x, "a": [], "b": []})
                curve[key] = points
    return list(found.values())


def _files(side: Side, unknown: list[str]) -> dict[str, str]:
    stage, found = side.recorded.training, {}
    for path in (path for path in (stage.reports if stage else ()) if path.endswith(".csv")):
        md5 = locked_hash(side.recorded.trained, "outs", path)
        try:
            if md5 is None:
                raise LineageError(f"dvc.lock records no {path}")
            found[path] = side.evidence.objects.read(md5).decode(errors="replace")
        except LineageError as error:
            unknown.append(f"{side.title}: {path}: {error}")
    return found


def _columns(text: str) -> list[tuple[str, str, Points]]:
    """Name of the column, name of the first one, and its points. Columns that are no numbers are left out."""
    header, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    found = []
    for place, name in list(enumerate(header))[1:]:
        points = [point for row in rows if (point := _point(row, place)) is not None]
        if points:
            found.append((name, header[0], points[:: max(1, -(-len(points) // MOST))]))
    return found


def _point(row: list[str], place: int) -> list[float] | None:
    try:
        point = [float(row[0]), float(row[place])]
    except (IndexError, ValueError):
        return None
    return point if all(map(math.isfinite, point)) else None


def drawn(curve: dict[str, Any], width: int = 320, height: int = 150) -> dict[str, Any]:
    """The lines as coordinates in a drawing of that size, and the numbers at its edges."""
    points = [*curve["a"], *curve["b"]]
    left, right = (choose(x for x, _ in points) for choose in (min, max))
    low, high = (choose(y for _, y in points) for choose in (min, max))

    def line(of: Points) -> str:
        across, up = (right - left) or 1.0, (high - low) or 1.0
        return " ".join(f"{(x - left) / across * width:.1f},{(1 - (y - low) / up) * height:.1f}" for x, y in of)

    lines = {side: line(curve[side]) for side in ("a", "b")}
    ends = {side: f"{lines[side].split()[-1]}".split(",") if lines[side] else None for side in ("a", "b")}
    return {
        **lines,
        "ends": ends,
        "left": left,
        "right": right,
        "low": low,
        "high": high,
        "width": width,
        "height": height,
    }
