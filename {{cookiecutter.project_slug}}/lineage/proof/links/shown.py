"""What people see first of a version: the scores beside the registered files, and the card in its description."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from ...chain.card import card, to_markdown
from ...chain.document import scores_by_name
from ...contract import Role
from ...git.tree import LINEAGE
from ...tracking.described import find_card
from ..case import ModelCase
from ..recompute import CheckResult
from ..result_commits import result_commits
from ..stage_runs import runs_after

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

AGAIN = "of an evaluation that no commit holds yet: `git add --all && git commit`"


def logged_model(case: ModelCase) -> LoggedModel:
    """What MLflow keeps of the registered files, beside the version."""
    assert case.version is not None
    store = case.evidence.store
    with store.asked("look up the registered model"):
        return store.client.get_logged_model(case.version.source.removeprefix("models:/"))


def compare_shown(case: ModelCase, result: CheckResult) -> set[str]:
    """Scores beside the registered files and in the runs of `register`, and the card, against lineage.json.

    A model may have been evaluated again since it was registered: each is compared with the result that it is of.
    Returns the metrics that no lineage.json has.
    """
    if case.version is None:
        return set()
    logged, unknown = _logged(case), set[str]()
    expected = scores_by_name(case.document["metrics"])
    for what, values in logged.items():
        scores = {key: value for key, value in values.items() if key in expected}
        unknown |= {*values} - {*scores}
        if scores:
            _compare_scores(case, what, scores, result)
    _compare_datasets(case, {*expected}, result)
    if not any(expected.keys() & values.keys() for values in logged.values()):
        result.note += "; the registered model shows no scores"
    _compare_card(case, result)
    return unknown


def _logged(case: ModelCase) -> dict[str, dict[str, float]]:
    """The last metrics of the registered model by the run that logged them, and those of the runs of `register`."""
    assert case.version is not None
    found: dict[str, dict[str, float]] = {}
    for metric in sorted(logged_model(case).metrics or [], key=lambda metric: (metric.timestamp, metric.step)):
        found.setdefault(f"{case.version.source} (run {metric.run_id})", {})[metric.key] = metric.value
    for _, run in runs_after(case, Role.CHAIN):
        found[f"run {run.info.run_id}"] = run.data.metrics
    return found


def _compare_scores(case: ModelCase, what: str, scores: dict[str, float], result: CheckResult) -> None:
    for document in _results(case):
        written = scores_by_name(document["metrics"])
        if all(key in written and same(value, written[key]) for key, value in scores.items()):
            result.looked_at += len(scores)
            return
    here = _here(case)
    written = scores_by_name(here["metrics"]) if here else {}
    if here and all(key in written and same(value, written[key]) for key, value in scores.items()):
        result.unknown.append(f"the scores of {what} are {AGAIN}")
        return
    expected = scores_by_name(case.document["metrics"])
    for key, value in scores.items():
        shown = expected[key] if same(value, expected[key]) else value
        result.equal(f"{key} of {what}", shown, expected[key], LINEAGE)


def _compare_datasets(case: ModelCase, scores: set[str], result: CheckResult) -> None:
    dataset = case.document["dataset"]["md5"]
    digests = {metric.dataset_digest for metric in logged_model(case).metrics or [] if metric.key in scores}
    for digest in sorted(digests, key=str):
        result.equal(f"the dataset of the scores of {case.title}", digest, dataset, LINEAGE)


def _compare_card(case: ModelCase, result: CheckResult) -> None:
    """The card in the description. Where somebody has written their own in its place, that is theirs."""
    assert case.version is not None
    found = find_card(case.version.description)
    if found is None:
        result.note += "; its description holds no model card"
        return
    if not found.is_alone:
        result.fault("the description of the version holds more than one model card, or words that look like one")
        result.fix = result.fix or f"take the others out of the description of {case.title} in MLflow"
    if any(found.text in _cards(case, document) for document in _results(case)):
        result.looked_at += 1
    elif (here := _here(case)) and found.text in _cards(case, here):
        result.unknown.append(f"the model card is {AGAIN}")
    else:
        right = to_markdown(card(case.document, str(case.version.version), case.tagged_commit)).splitlines()
        wrong = [line for line in found.text.splitlines() if line not in right and not line.startswith("*Card ")]
        lines = f": {wrong[0].strip()!r}" if wrong else ""
        result.fault(f"the model card in the description is not that of {LINEAGE}{lines}")
        result.fix = result.fix or (
            "take the card out of the description of the version; `lineage link` writes it again. Words of your own "
            "belong above or below it"
        )


def _cards(case: ModelCase, document: dict[str, Any]) -> list[str]:
    """The card before and after the result commit is known."""
    assert case.version is not None
    number = str(case.version.version)
    return [to_markdown(card(document, number, commit)) for commit in (case.tagged_commit, None)]


def _results(case: ModelCase) -> Iterator[dict[str, Any]]:
    """lineage.json of every commit that holds this version, that which is proved first."""
    found = result_commits(case.history, case.identity, case.identity_text)
    others = (case.history.at(commit).document for commit in found if case.describes_model(commit))
    return chain([case.document], (document for document in others if document is not None))


def _here(case: ModelCase) -> dict[str, Any] | None:
    """lineage.json on disk, where it is about this version."""
    try:
        document: dict[str, Any] = json.loads((case.evidence.root / LINEAGE).read_text(encoding="utf-8"))
        model = document["model"]
        assert case.version is not None
        mine = (case.identity, case.version.name, str(case.version.version))
        return document if (model["identity"], model["name"], model["version"]) == mine else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def same(logged: float, written: float) -> bool:
    """Whether MLflow holds the number: databases keep no NaN and no infinity."""
    if math.isnan(written):
        return math.isnan(logged)
    if math.isinf(written):
        return abs(logged) > 1e308 and (logged > 0) == (written > 0)
    return logged == written
