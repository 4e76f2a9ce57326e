"""How good a model is on parts of the test split: on the records of each site, scanner, sex."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evaluation import overall_scores
from .intervals import LEVEL, accuracy_interval
from .tables import write_csv

NOT_IN_NAMES = re.compile(r"[^\w\- ]")  # MLflow takes no others in the name of a metric, and DVC splits at dots
LONGEST = 200  # letters of a name: MLflow takes 250, with what is put before and behind it
TOO_SMALL = "too small to say"


@dataclass(frozen=True)
class Slice:
    """The test records with one value of one column."""

    column: str
    value: str
    scores: dict[str, float]  # accuracy, f1_macro, loss, records
    subjects: int
    low: float | None  # 95% interval of the accuracy; None where there are too few subjects to say
    high: float | None

    @property
    def is_too_small(self) -> bool:
        return self.low is None


def scores_by_slice(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    subjects: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    min_subjects: int,
) -> list[Slice]:
    """Scores of each value of each column, in their order.

    `probabilities`: (records, classes); `truth`: (records,); `subjects` and the columns have a text for each record.
    """
    found = []
    owners = np.unique(np.array(subjects, dtype=object), return_inverse=True)[1] if columns else np.empty(0, np.int64)
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    for column, values in columns.items():
        known, places = np.unique(np.array(values, dtype=object), return_inverse=True)
        rows = np.split(places.argsort(kind="stable"), np.bincount(places, minlength=len(known)).cumsum()[:-1])
        for value, here in zip(known, rows, strict=True):
            people = len(np.unique(owners[here]))
            low, high = None, None
            if people >= min_subjects:
                low, high = accuracy_interval(right[here], owners[here])
            scores = overall_scores(probabilities[here], truth[here])
            found.append(Slice(column, value, scores, people, low, high))
    return found


def worst_of(slices: Sequence[Slice]) -> Slice | None:
    """The slice with the lowest accuracy among those that are large enough to say."""
    large = [each for each in slices if not each.is_too_small]
    return min(large, key=lambda each: each.scores["accuracy"], default=None)


def as_metrics(slices: Sequence[Slice]) -> tuple[dict[str, Any], dict[str, float]]:
    """What metrics/test.json says of slices, and the same numbers under the names of MLflow; both empty without any."""
    if not slices:
        return {}, {}
    names, by_name = [name_of(each.column, each.value) for each in slices], dict[str, dict[str, Any]]()
    for name, each in zip(names, slices, strict=True):
        interval = {"low": each.low, "high": each.high} if not each.is_too_small else {"note": TOO_SMALL}
        by_name[name] = {**each.scores, "subjects": each.subjects, **interval}
    flat = {
        f"slices_{name}_{key}": value
        for name, scores in by_name.items()
        for key, value in scores.items()
        if not isinstance(value, str)
    }
    worst = worst_of(slices)
    if worst is None:
        return {"slices": by_name}, flat
    place = slices.index(worst)
    accuracy = worst.scores["accuracy"]
    return (
        {"slices": by_name, "worst_slice": names[place], "worst_slice_accuracy": accuracy},
        {**flat, "worst_slice_accuracy": accuracy},
    )


def name_of(column: str, value: str) -> str:
    """`scanner:A`, in letters that DVC and MLflow take; `A.1` is `scanner:A:2E1`.

    It is made of the value alone, and no two have the same: so a series in MLflow is about one value, whichever others
    a dataset version has. What cannot stand in a name is written as in an address, with `:` in the place of `%`. One
    that is too long ends in `::` and a hash, as no other does: elsewhere two digits follow each `:` of a value.
    """
    name = f"{column}:{NOT_IN_NAMES.sub(lambda found: _escape(found[0]), value)}"
    if len(name) <= LONGEST:
        return name
    digest = f"::{sha256(name.encode()).hexdigest()[:16]}"
    return name[: LONGEST - len(digest)] + digest


def _escape(letter: str) -> str:
    return "".join(f":{byte:02X}" for byte in letter.encode())


def tell_worst(slices: Sequence[Slice], overall: float) -> None:
    """Prints which slice is the worst, and which are too small."""
    if not slices:
        return
    small = [f"{each.column} {each.value} ({each.subjects})" for each in slices if each.is_too_small]
    if (worst := worst_of(slices)) is not None:
        print(
            f"worst slice: {worst.column} {worst.value}, accuracy {worst.scores['accuracy']:.3f} "
            f"({LEVEL:.0%}: {worst.low:.3f} to {worst.high:.3f}; {worst.scores['records']} records of {worst.subjects} "
            f"subjects), where all have {overall:.3f}."
        )
    if small:
        more = f" and {len(small) - 10} more" if len(small) > 10 else ""
        print(f"{TOO_SMALL}, with that many subjects: {', '.join(small[:10])}{more}.")


def write_slices(path: Path, overall: Mapping[str, float], slices: Sequence[Slice]) -> None:
    """A CSV for `dvc plots`, with a row for all records, whose scores are `overall`, and one for each slice."""
    header = ["slice", "column", "value", "accuracy", "low", "high", "f1_macro", "loss", "records", "subjects", "note"]
    whole: list[object] = [
        overall.get(name, "") for name in ("accuracy_low", "accuracy_high", "f1_macro", "loss", "records", "subjects")
    ]
    rows: list[list[object]] = [["all", "", "", overall["accuracy"], *whole, ""]]
    for each in slices:
        scores, note = each.scores, TOO_SMALL if each.is_too_small else ""
        interval = ["" if bound is None else bound for bound in (each.low, each.high)]
        rest = [scores["f1_macro"], scores["loss"], scores["records"], each.subjects, note]
        rows.append([f"{each.column}={each.value}", each.column, each.value, scores["accuracy"], *interval, *rest])
    write_csv(path, header, rows)
