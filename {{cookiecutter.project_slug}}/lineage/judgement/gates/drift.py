"""Gate drift: whether the data of the version are still like those of the present champion (`lineage drift`)."""

from __future__ import annotations

from ...base.errors import LineageError
from ...proof.case import ModelCase
from ...proof.decision import Version
from ...settings import promotion
from ..drift import DRIFT, LEAST_RECORDS, NO_DRIFT, Drift, compare
from ..profiles import of_target
from .answer import Answer
from .comparison import recorded_of


def drift(case: ModelCase, champion: Version | None, asked: promotion.Drift) -> Answer:
    """By the profiles of both dataset versions. Raises LineageError where one cannot be had: erased, for example."""
    if champion is None:
        return Answer("PASS", "no version is there whose data could be compared", {"champion": None})
    figures = {"champion": champion.dataset, "version": case.dataset}
    if champion.dataset == case.dataset:
        return Answer("PASS", "both rest on the same dataset version", figures)
    recorded_of(case.history, champion)
    try:
        _, reference = of_target(case.evidence, champion.commit)
    except LineageError as error:
        raise LineageError(f"of the champion, version {champion.number}: {error}") from error
    _, other = of_target(case.evidence, case.commit)
    answer = judge(compare(reference, other), asked)
    fix = "" if answer.state == "PASS" else f"lineage drift {champion.commit[:12]} {case.commit[:12]}"
    return Answer(answer.state, answer.text, figures | answer.figures, fix=fix)


def judge(found: Drift, asked: promotion.Drift) -> Answer:
    """What the comparison of two profiles means here. Of few records nobody can say."""
    figures = {
        "records": {"champion": found.before["records"], "version": found.after["records"]},
        "histograms": {
            each.name: {"psi": each.psi, "p": each.p_corrected, "drifted": each.drifted} for each in found.features
        },
        "not compared": found.not_compared,
    }
    counted = f"{found.before['records']} and {found.after['records']} records"
    if found.verdict == DRIFT:
        named = ", ".join(f"{each.name} (PSI {each.psi:.2f})" for each in found.drifted)
        differing = f"{len(found.drifted)} of {len(found.features)} histograms of {counted}"
        return Answer(asked.found, f"its data differ from the champion's in {differing}: {named}", figures)
    if found.verdict == NO_DRIFT:
        left_out = f"; not compared: {'; '.join(found.not_compared)}" if found.not_compared else ""
        return Answer("PASS", f"no drift in {len(found.features)} histograms of {counted}{left_out}", figures)
    why = "; ".join(found.unknown or found.not_compared) or f"fewer than {LEAST_RECORDS} records, or nothing to compare"
    return Answer("INCONCLUSIVE", f"whether they drifted cannot be said: {why}", figures)
