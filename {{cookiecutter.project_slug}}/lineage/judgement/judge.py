"""What the gates answer about a version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..base.errors import LineageError, ProjectError
from ..base.printable import some
from ..proof.case import Evidence, ModelCase
from ..proof.decision import State, Version
from ..proof.decisions import Line
from ..proof.targets import resolve
from ..settings.params import Settings
from .gates.answer import Answer
from .gates.comparison import comparison
from .gates.consent import consent
from .gates.drift import drift
from .gates.thresholds import thresholds
from .gates.verified import verified
from .gates.weights import weights

Gates = dict[str, Callable[[], Answer]]


def all_gates(settings: Settings, case: ModelCase, line: Line) -> Gates:
    """What is asked of a version, in this order, against the one that has the alias by the decisions."""
    section, champion = settings.promotion, line.now or line.former
    return {
        "verified": partial(verified, case),
        "consent": partial(consent, case, settings),
        "weights": partial(weights, case),
        "thresholds": partial(thresholds, case, section.thresholds),
        "comparison": partial(
            _against, case, line, partial(comparison, case, champion, section.comparison), case.identity
        ),
        "drift": partial(_against, case, line, partial(drift, case, champion, section.drift)),
    }


def _against(case: ModelCase, line: Line, gate: Callable[[], Answer], identity: str | None = None) -> Answer:
    """What a gate answers that compares with a champion, also where no version has the alias."""
    if line.now is not None:
        return gate()
    if line.former is not None:
        return of_former(line, gate, identity)
    return of_first(gate(), case.evidence.decisions.others(line.model, line.alias))


def of_former(line: Line, gate: Callable[[], Answer], identity: str | None = None) -> Answer:
    """The answer about the last version that had the alias. It was taken from that one for a reason.

    So a FAIL is for a person to judge; and where `identity` is of that very model, that it equals itself says nothing.
    """
    former, last = line.former, line.last
    assert former is not None
    assert last is not None
    taken = f"no version is {line.alias} by {last.path}; the last that was is version {former.number}"
    if former.identity == identity:
        text = f"{taken}: this very model, from which it was taken for a reason"
        return Answer("INCONCLUSIVE", text, {"champion": None, "former": former.number})
    try:
        answer = gate()
    except LineageError as error:
        raise LineageError(f"{taken}: {error}", fix=error.fix) from error
    state: State = "INCONCLUSIVE" if answer.state == "FAIL" else answer.state
    figures = {**answer.figures, "champion": None, "former": former.number}
    return replace(answer, state=state, text=f"{taken}. Against that one: {answer.text}", figures=figures)


def of_first(answer: Answer, others: Sequence[Line]) -> Answer:
    """The answer where no version ever had the alias; `others`: decisions about it under other names of the model."""
    if not others:
        return answer
    names = some([f"models:/{line.model}@{line.alias}" for line in others])
    return replace(answer, text=f"{answer.text}; not compared with {names}")


def ask(gates: Gates) -> dict[str, Answer]:
    """The answers, by gate. What cannot be looked at is INCONCLUSIVE, and the others are asked all the same."""
    found = {}
    for name, gate in gates.items():
        try:
            found[name] = gate()
        except ProjectError as error:
            kept, more = error.without_ids, "" if error.without_ids else str(error)
            text = kept or "the data cannot be used as they are"
            found[name] = Answer("INCONCLUSIVE", text[:2000], more=more, fix=error.fix)
        except Exception as error:  # damage has no end of forms: what cannot be read lets nothing through
            found[name] = Answer("INCONCLUSIVE", f"could not be looked at: {type(error).__name__}", more=str(error))
    return found


def version_named(evidence: Evidence, what: str) -> ModelCase:
    """The one version that `what` names. Raises LineageError if it names none, or several."""
    cases = [case for case in resolve(evidence, what).cases if case.version is not None]
    if len(cases) != 1:
        raise LineageError(f"{what} leads to {len(cases)} versions in MLflow. Name one: models:/NAME/NUMBER.")
    return cases[0]


def version_of(case: ModelCase) -> Version:
    """The version as a decision names it. Raises LineageError if no commit holds it."""
    assert case.version is not None
    return Version(
        number=str(case.version.version),
        identity=case.identity,
        weights=str(case.version.tags.get("model_sha256")),
        dataset=case.dataset,
        commit=str(case.history.resolve(case.commit)),
    )
