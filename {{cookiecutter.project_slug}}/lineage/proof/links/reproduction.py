"""The link that only work can prove: the model, made once more from its commit."""

from __future__ import annotations

from ..case import ModelCase
from ..recompute import CheckResult


def reproduction(case: ModelCase, *, here: bool) -> CheckResult:
    """Runs the pipeline of the commit and compares every output. Others from another machine prove nothing."""
    from ..reproduce import reproduce_into

    comparison = reproduce_into(case.evidence, case, None, here=here)
    result = CheckResult(looked_at=comparison.looked_at)
    hashes = comparison.hashes.items()
    sentences = [f"{path} made once more is {now}, dvc.lock says {then}" for path, (then, now) in hashes]
    differs = [f"{key} was {then}, is {now}" for key, (then, now) in comparison.circumstances.items()]
    if sentences and (differs or comparison.unknown):
        why = "; ".join([*differs[:3], *comparison.unknown])
        result.unknown = [f"{sentence} (but {why})" for sentence in sentences]
    else:
        result.faults = sentences
    return result
