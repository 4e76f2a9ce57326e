"""Metrics: what each side was measured at, and both on the same records, with intervals; and which records flipped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...base.errors import LineageError
from ...dvc.dvcfile import locked_hash
from ...dvc.hashes import hash_bytes
from ...settings import flatten
from ..paired import paired_difference
from ..predictions import Common, Predictions, common, predictions_of
from .curves import curves
from .section import changes, counted, section
from .sides import Side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.95
SHOWN = 1_000  # flipped records in the answer, of each kind
VALUES = 50  # of a slice


def metrics(a: Side, b: Side) -> tuple[dict[str, Any], Common | None]:
    """What was measured, and the comparison on the same records; None where that cannot be made."""
    unknown: list[str] = []
    lost: set[str] = set()
    of_files = [_measured(side, unknown, lost) for side in (a, b)]
    # a file that one side has and nobody can read is no difference, but unknown
    before, after = (
        {f"{path}: {key}": value for path, values in files.items() if path not in lost for key, value in values.items()}
        for files in of_files
    )
    found = changes(before, after)
    both, lines = _both(a, b, unknown), curves(a, b, unknown)
    paired = None if both is None else _paired(both)
    return section(
        compared=_compared(len({*before, *after}), both),
        unknown=unknown,
        differs=bool(found or (paired and (paired["flips"] or paired["left_out"]))),
        measured=found,
        paired=paired,
        curves=lines,
    ), both


def measured(side: Side) -> dict[str, Any]:
    """The metrics of one side by file and key, as they are named in `measured`; without those that cannot be read."""
    return {
        f"{path}: {key}": value for path, values in _measured(side, [], set()).items() for key, value in values.items()
    }


def flips(both: Common | None) -> dict[str, Any]:
    """The section of the records that went from right to wrong and back, and those that are wrong otherwise."""
    if both is None:
        return section(compared="nothing", unknown=["predictions of both on the same records"], differs=False)
    kinds = {kind: _flipped(both, rows) for kind, rows in flipped(both).items()}
    records = counted(both.a.table.num_rows, "record")
    unknown = [] if both.a.table.num_rows else ["there are no records that both were tested on"]
    if left_out := len(both.relabelled) + len(both.rewritten):
        unknown.append(f"{counted(left_out, 'record')} of both test splits, with another label or other bytes")
    if alone := both.only_a + both.only_b:
        unknown.append(f"{counted(alone, 'record')} in the test split of one side alone")
    differs = any(each["records"] for each in kinds.values())
    return section(compared=f"{records} of the test splits of both", unknown=unknown, differs=differs, kinds=kinds)


def flipped(both: Common) -> dict[str, NDArray[np.int64]]:
    """The rows that went from right to wrong, from wrong to right, and from one wrong class to another."""
    import numpy as np

    before, after = both.a.right > 0, both.b.right > 0
    said = [np.array(each.classes, dtype=object)[each.predicted] for each in (both.a, both.b)]
    return {
        kind: _surest_first(both, np.flatnonzero(rows))
        for kind, rows in (
            ("right_to_wrong", before & ~after),
            ("wrong_to_right", ~before & after),
            ("otherwise_wrong", ~before & ~after & (said[0] != said[1])),
        )
    }


def _surest_first(both: Common, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """These rows, first those of which the model before was the surest."""
    if not len(rows):
        return rows
    order = (-both.a.probabilities[rows].max(axis=1)).argsort(kind="stable")
    return rows[order]  # type: ignore[no-any-return]


def confusion(said: Predictions, classes: list[str]) -> list[list[int]]:
    """How many records of each class (rows) were taken for each class (columns)."""
    import numpy as np

    place = {name: number for number, name in enumerate(classes)}
    actual = [place[label] for label in said.column("label")]
    predicted = [place[said.classes[number]] for number in said.predicted]
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, (actual, predicted), 1)
    return matrix.tolist()


def _measured(side: Side, unknown: list[str], lost: set[str]) -> dict[str, dict[str, Any]]:
    """The metrics that the stages wrote, by file and dotted key. A file that cannot be read is added to `lost`."""
    found: dict[str, dict[str, Any]] = {}
    for stage in side.pipeline.stages.values():
        for path in (path for path in stage.reports if path.endswith(".json")):
            md5 = locked_hash(side.recorded.lock.get(stage.name), "outs", path)
            try:
                if md5 is None:
                    raise LineageError(f"dvc.lock records no {path}")
                # Git keeps what DVC does not: then its file is at hand
                data = _of_git(side, path, md5) if path in stage.uncached else side.evidence.objects.read(md5)
                found[path] = flatten(json.loads(data))
            except (LineageError, ValueError, AttributeError) as error:  # JSON that is no mapping
                lost.add(path)
                unknown.append(f"{side.title}: {path}: {error}")
    return found


def _of_git(side: Side, path: str, md5: str) -> bytes:
    data = side.read(path)
    if data is None or hash_bytes(data, path).md5 != md5:
        state = "is not there" if data is None else "is not what the stage wrote"
        raise LineageError(f"it {state}, by its hash in dvc.lock")
    return data


def _both(a: Side, b: Side, unknown: list[str]) -> Common | None:
    said = []
    for side in (a, b):
        try:
            said.append(predictions_of(side.evidence, side.recorded))
        except LineageError as error:
            unknown.append(f"{side.title}: which records were right: {error}")
    if len(said) < 2:
        return None
    both = common(said[0], said[1])
    if both.a.table.num_rows == 0:
        unknown.append("there are no records that both were tested on, with the same label and bytes.")
    return both


def _compared(keys: int, both: Common | None) -> str:
    measured = counted(keys, "metric")
    return f"{measured}, {counted(both.a.table.num_rows, 'record')} one by one" if both else measured


def _paired(both: Common) -> dict[str, Any]:
    """Both on the same records: accuracy over all, by class, and by each value of each slice, as B has it."""
    import numpy as np

    a, b = both.a, both.b
    found: dict[str, Any] = {
        "level": LEVEL,
        "records": a.table.num_rows,
        "subjects": len(set(b.subjects.tolist())),
        "only_a": both.only_a,
        "only_b": both.only_b,
        "left_out": {
            kind: {"records": len(ids), "ids": ids[:SHOWN]}
            for kind, ids in (("relabelled", both.relabelled), ("rewritten", both.rewritten))
            if ids
        },
        "flips": {kind: len(rows) for kind, rows in flipped(both).items() if len(rows)},
        "overall": None,
        "classes": {},
        "slices": {},
        "confusion": None,
    }
    if not found["records"]:
        return found
    classes = sorted({*a.classes, *b.classes, *a.column("label")})
    found["overall"] = _scores(both, np.arange(found["records"]))
    found["classes"] = _by(both, b.rows_by("label"), classes)
    for name in dict.fromkeys([*b.slices, *a.slices]):
        rows = (b if name in b.slices else a).rows_by(name)
        known = sorted(rows, key=lambda value: (value is None, str(value)))
        found["slices"][name] = _by(both, rows, known[:VALUES])
        if len(known) > VALUES:
            found["slices"][name]["..."] = {"values_left_out": len(known) - VALUES}
    found["confusion"] = {"classes": classes, "a": confusion(a, classes), "b": confusion(b, classes)}
    return found


def _by(both: Common, rows: Mapping[str | None, NDArray[np.int64]], values: Sequence[str | None]) -> dict[str, Any]:
    return {"(none)" if value is None else value: _scores(both, rows[value]) for value in values if value in rows}


def _scores(both: Common, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy of both over some records, and the difference."""
    before, after = both.a.right[rows], both.b.right[rows]
    change = paired_difference(before, after, both.b.owners[rows], level=LEVEL)
    return {
        "records": change.records,
        "subjects": change.groups,
        "a": float(before.mean()),
        "b": float(after.mean()),
        "difference": {"value": change.value, "low": change.low, "high": change.high},
        "sure": change.is_sure,
        "too_small": change.is_too_small,
    }


def _flipped(both: Common, rows: NDArray[np.int64]) -> dict[str, Any]:
    """These records: what each model said of them."""
    a, b = both.a, both.b
    ids, subjects, labels = (b.column(name) for name in ("record_id", "subject_id", "label"))
    listed = [
        {
            "record_id": ids[row],
            "subject_id": subjects[row],
            "label": labels[row],
            "a": a.classes[a.predicted[row]],
            "b": b.classes[b.predicted[row]],
            "probability_a": float(a.probabilities[row].max()),
            "probability_b": float(b.probabilities[row].max()),
        }
        for row in rows[:SHOWN].tolist()
    ]
    affected = len(set(subjects[rows].tolist()))
    return {"records": len(rows), "subjects": affected, "list": listed, "left_out": len(rows) - len(listed)}
