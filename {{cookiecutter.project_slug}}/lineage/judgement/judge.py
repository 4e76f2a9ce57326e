"""What the gates answer about a version."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..base.errors import LineageError, ProjectError
from ..proof.case import Evidence, ModelCase
from ..proof.decision import Version
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

GATES = ("verified", "consent", "weights", "thresholds", "comparison", "drift")
Gates = dict[str, Callable[[], Answer]]


def all_gates(settings: Settings, case: ModelCase, line: Line) -> Gates:
    """What is asked of a version, in this order, against the one that has the alias by the decisions."""
    section, champion = settings.promotion, line.now
    return {
        "verified": partial(verified, case),
        "consent": partial(consent, case, settings),
        "weights": partial(weights, case),
        "thresholds": partial(thresholds, case, section.thresholds),
        "comparison": partial(comparison, case, champion, section.comparison),
        "drift": partial(drift, case, champion, section.drift),
    }


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
