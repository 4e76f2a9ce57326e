"""The answer as one HTML page: no script, no network, at most 2 MB."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ...base.errors import LineageError
from ...base.pages import render as render_page
from ...base.pages import write_whole
from .curves import drawn
from .difference import Difference
from .images import Wanted, differing, read_images, thumbnail
from .show import side
from .words import FLIPS, KINDS, change, lines, number, score, sentence

LIMIT = 2_000_000  # bytes
EACH = 24  # images of a kind
CLASSES = 30  # of a confusion matrix
ROWS = 200  # of a list
PATCH = 300_000  # characters
ORDER = ("right_to_wrong", "wrong_to_right", "otherwise_wrong", *KINDS)


def write_page(found: Difference, target: Path, *, images: bool) -> list[str]:
    """Writes the page. Returns of what no image could be had. Raises LineageError if it cannot be made small enough."""
    lacking: list[str] = []
    shown = _thumbnails(found, lacking) if images else {}
    less = 1
    while len((text := _render(found, shown, lacking, less, images=images)).encode()) > LIMIT:
        if less > ROWS:
            raise LineageError(f"{target} would be larger than 2 MB with no lists at all. --json has all that differs.")
        less *= 2
    write_whole(target, text)
    return lacking


def _render(
    found: Difference, shown: dict[str, list[dict[str, Any]]], lacking: list[str], less: int, *, images: bool
) -> str:
    """The text of the page, with so many times less of what there may be much of."""
    sections, document = found.document["sections"], found.document
    paired = sections["metrics"]["paired"] or {}
    patch = sections["code"]["patch"]
    return render_page(
        Path(__file__).with_name("page.html.jinja"),
        {"change": change, "number": number, "score": score, "first_line": sentence, "side": side},
        document=document,
        sections=sections,
        lines={name: list(lines(name, section, ids=True)) for name, section in sections.items()},
        paired=paired,
        confusion=_confusion(paired.get("confusion"), CLASSES // less),
        curves=[{**curve, **drawn(curve)} for curve in sections["metrics"]["curves"]],
        kinds={**FLIPS, **KINDS},
        shown={kind: of_kind[: EACH // less] for kind, of_kind in shown.items()},
        images=images,
        lacking=lacking,
        patch=patch and patch[: PATCH // less],
        patch_is_cut=bool(patch) and len(patch) > PATCH // less,
        rows=ROWS // less,
    )


def _thumbnails(found: Difference, lacking: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Some images of each kind, with what is to be said of the record."""
    chosen: dict[str, list[Wanted]] = {}
    for each in differing(found, EACH):
        chosen.setdefault(each.kind, []).append(each)
    wanted = [each for kind in chosen for each in chosen[kind]]
    said = _said(found.document["sections"]["flipped records"])
    had: dict[Wanted, str] = {}
    for each, image in read_images(found.a.evidence.objects, wanted, lacking):
        try:
            had[each] = thumbnail(image)
        except OSError as error:
            lacking.append(f"{each.record_id}: {error}")
    before = {each.record_id: had[each] for each in chosen.get("rewritten before", []) if each in had}
    return {
        kind: [
            {
                "id": each.record_id,
                "said": said.get((kind, each.record_id)) or _place(each),
                "image": had[each],
                "before": before.get(each.record_id) if kind == "rewritten" else None,
            }
            for each in chosen[kind]
            if each in had
        ]
        for kind in ORDER
        if kind in chosen
    }


def _place(wanted: Wanted) -> str:
    """Split and class, or what it was and is."""
    return unquote("/".join(wanted.path.split("/")[1:-1])).replace("_to_", " → ")


def _said(flips: dict[str, Any]) -> dict[tuple[str, str], str]:
    """What both models said of a record that flipped."""
    return {
        (kind, each["record_id"]): f"a {each['label']}: {each['a']} → {each['b']}"
        for kind, flipped in flips.get("kinds", {}).items()
        for each in flipped["list"]
    }


def _confusion(found: dict[str, Any] | None, most: int) -> dict[str, Any] | None:
    """Both matrices, of the classes with the most records if there are too many; the shade of a cell is its share."""
    if found is None:
        return None
    sizes = [sum(row) for row in found["a"]]
    largest = sorted(range(len(sizes)), key=lambda number: -sizes[number])[:most]
    kept = sorted(largest)
    matrices = {}
    for key in ("a", "b"):
        rows = [[found[key][row][column] for column in kept] for row in kept]
        matrices[key] = [
            [{"count": count, "share": round(count / max(1, sizes[kept[place]]), 2)} for count in row]
            for place, row in enumerate(rows)
        ]
    return {"classes": [found["classes"][number] for number in kept], "left_out": len(sizes) - len(kept), **matrices}
