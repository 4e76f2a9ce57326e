"""Gate comparison: on the same test records the version is not worse than the present champion, in no slice either.

A difference is right answers of the version less those of the champion, as a share of the records. With its interval:

PASS          the lower end is not below -margin: worse by more than the margin is not to be expected
FAIL          the upper end is below 0, and it is no PASS: it is worse, and that is no chance
INCONCLUSIVE  all else: too few subjects, or an interval that holds both

Every slice has to PASS, so no correction for their number is needed for that; among many slices one would FAIL by
chance, so a slice FAILs only if it does at a level that is corrected for their number (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import LineageError
from ...base.printable import printable, some
from ...contract import Role
from ...git.history import History
from ...proof.case import ModelCase
from ...proof.decision import State, Version
from ...settings.promotion import Comparison
from ..paired import LEAST_GROUPS, PairedDifference, paired_difference
from ..predictions import TEST, Common, Predictions, common, predictions_of
from .answer import Answer, worst
from .thresholds import require_own_test

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Judged(NamedTuple):
    """What is said of all records, or of a slice."""

    name: str
    state: State | None  # None: it was not judged
    text: str
    figures: dict[str, Any]


def comparison(case: ModelCase, champion: Version | None, asked: Comparison) -> Answer:
    """Raises LineageError where the predictions of either cannot be had: they were erased, for example."""
    if champion is None:
        return Answer("PASS", "no version is there to be compared with: none has the alias", {"champion": None})
    if champion.identity == case.identity:
        text = "it is the very model that is there already: there is nothing to compare"
        return Answer("PASS", text, {"champion": champion.number})
    try:
        theirs = predictions_of(case.evidence, recorded_of(case.history, champion))
    except LineageError as error:
        raise LineageError(f"of the champion, version {champion.number}: {error}") from error
    require_own_test(case.recorded, Role.PREDICTIONS)
    mine = predictions_of(case.evidence, case.recorded)
    answer = compare(common(theirs, mine), theirs, mine, asked)
    figures = {"champion": champion.number, "predictions": {"champion": theirs.md5, "version": mine.md5}}
    return Answer(answer.state, answer.text, figures | answer.figures, answer.more)


def recorded_of(history: History, version: Version) -> Any:
    """dvc.lock of the commit that a decision names. Raises LineageError unless it holds the model of the decision."""
    recorded = history.at(version.commit).recorded
    if history.resolve(version.commit) is None or recorded.identity != version.identity:
        raise LineageError(
            f"commit {version.commit[:12]}, which holds its result by the decision, is not here or holds another model."
        )
    return recorded


def compare(both: Common, theirs: Predictions, mine: Predictions, asked: Comparison) -> Answer:
    """`both`: what the champion (a) and the version (b) have in common. `theirs`, `mine`: all predictions of each."""
    subjects, found = len(set(both.b.owners.tolist())), len(both.b.right)
    of_all = found + both.only_b + len(both.relabelled) + len(both.rewritten)
    figures: dict[str, Any] = {
        "records": {"in both": found, "of the version": of_all, "of the champion": _all_of_champion(both)},
        "not compared": {"relabelled": len(both.relabelled), "other bytes": len(both.rewritten)},
        "subjects": subjects,
        "level": asked.level,
    }
    if not found:
        text = f"the champion was tested on none of its {of_all} test records"
        return Answer("INCONCLUSIVE", text, figures)
    before, after = both.a.right, both.b.right
    overall = _judge("all records", before, after, both.b.owners, asked, asked.margin, 1)
    slices = list(_slices(both, theirs.of_split(TEST), mine.of_split(TEST), asked))
    state = worst([each.state for each in (overall, *slices) if each.state is not None])
    figures["overall"] = overall.figures
    figures["slices"] = {each.name: each.figures for each in slices}
    behind = [each for each in slices if each.state == state and state != "PASS"]
    texts = [overall.text, *(each.text for each in behind[:5])]
    texts += [f"{len(behind) - 5} more slices are {state}"] if len(behind) > 5 else []
    if judged := [each for each in slices if each.state is not None]:
        texts.append(f"{sum(each.state == 'PASS' for each in judged)} of {len(judged)} slices PASS")
    if left_out := [each.name for each in slices if each.state is None]:
        texts.append(f"not judged, of fewer than {asked.least_subjects} subjects: {some(left_out)}")
    less = f"{found} of {of_all} test records are the champion's too"
    more = some([*both.relabelled, *both.rewritten], most=10)
    return Answer(state, "; ".join([less, *texts]), figures, f"with other labels or bytes: {more}" if more else "")


def _all_of_champion(both: Common) -> int:
    return len(both.a.right) + both.only_a + len(both.relabelled) + len(both.rewritten)


def _slices(both: Common, theirs: Predictions, mine: Predictions, asked: Comparison) -> Iterator[Judged]:
    """Each value of each column that either has, those too that only one has test records of.

    Else a slice would pass that was left out of evaluate.slices, or of the test split.
    """
    import numpy as np

    none = np.empty(0, dtype=np.int64)
    # a record that is in both is where the version has it; where that has no such value, where the champion has it
    in_both = _by_value(both.a) | _by_value(both.b)
    mine_by, theirs_by = _by_value(mine), _by_value(theirs)
    values = dict.fromkeys([*mine_by, *theirs_by])
    for name, value in values:
        shown, rows = f"{name}={printable(str(value))}", in_both.get((name, value), none)
        held, before_held = mine_by.get((name, value), none), theirs_by.get((name, value), none)
        most = max(len(np.unique(mine.owners[held])), len(np.unique(theirs.owners[before_held])))
        if most < asked.least_subjects:
            figures = {"state": "not judged", "records": len(rows)}
            yield Judged(shown, None, "", figures)
        elif not len(rows):
            text = f"{shown}: the champion was tested on none of its {len(held)} records"
            if not len(held):
                text = f"{shown}: it was tested on none of the champion's {len(before_held)} records"
            yield Judged(shown, "INCONCLUSIVE", text, {"state": "INCONCLUSIVE", "records": 0})
        else:
            before, after = both.a.right[rows], both.b.right[rows]
            yield _judge(shown, before, after, both.b.owners[rows], asked, asked.slice_margin, len(values))


def _by_value(predictions: Predictions) -> dict[tuple[str, str | None], NDArray[np.int64]]:
    """The places of the records with each value of each column, sorted by value."""
    found = {name: predictions.rows_by(name) for name in predictions.slices}
    return {(name, value): rows[value] for name, rows in found.items() for value in sorted(rows, key=str)}


def _judge(
    name: str,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    groups: NDArray[np.int64],
    asked: Comparison,
    margin: float,
    count: int,
) -> Judged:
    """One comparison of `count`. `groups`: the number of each record's subject."""
    difference = paired_difference(before, after, groups, level=asked.level)
    state = verdict(difference, margin)
    if state == "FAIL" and count > 1:
        corrected = paired_difference(before, after, groups, level=1 - (1 - asked.level) / count)
        state = "FAIL" if verdict(corrected, margin) == "FAIL" else "INCONCLUSIVE"
    text = f"{name}: {before.mean():.3f} -> {after.mean():.3f}, {_shown(difference)}"
    figures = {
        "state": state,
        "champion": float(before.mean()),
        "version": float(after.mean()),
        "difference": difference.value,
        "interval": [difference.low, difference.high],
        "records": difference.records,
        "subjects": difference.groups,
        "margin": margin,
    }
    return Judged(name, state, text, figures)


def verdict(difference: PairedDifference, margin: float) -> State:
    """PASS, FAIL or INCONCLUSIVE, as the module says."""
    if difference.low is None or difference.high is None:
        return "INCONCLUSIVE"
    if difference.low >= -margin:
        return "PASS"
    return "FAIL" if difference.high < 0 else "INCONCLUSIVE"


def _shown(difference: PairedDifference) -> str:
    if difference.low is None or difference.high is None:
        asked = f", {LEAST_GROUPS} are needed" if difference.is_too_small else ", which all agree"
        return (
            f"{difference.value:+.3f}, too small to say more ({difference.records} records of {difference.groups} "
            f"subjects{asked})"
        )
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
