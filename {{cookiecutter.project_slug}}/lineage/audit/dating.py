"""Whether something was made before a moment, where that rests on more than MLflow's own word."""

from __future__ import annotations

from datetime import datetime

from ..base.errors import ProjectError
from ..proof.case import Evidence
from .use import Use


def was_before(evidence: Evidence, use: Use, since: datetime) -> bool:
    """Whether a use that MLflow places before `since` was made before it.

    Git shows it if it held the model by then, and so does the cache or the remote if one held the record of its
    training. Where neither can say anything, because no commit holds the model, MLflow is believed unless its moments
    cannot be right.
    """
    if use.left_no_model or (use.committed and use.committed < since):
        return True
    if use.committed is None and not use.contradictions:
        return True
    model = evidence.git_models.models.get(use.identity or "")
    record = model.out(evidence.git_models.run_records) if model else None  # no two trainings have it in common
    kept = _kept_since(evidence, record) if record else None
    return kept is not None and kept < since


def why_doubtful(use: Use) -> str:
    """Why MLflow's word is not enough."""
    if use.contradictions:
        return use.contradictions[0]
    return f"Git holds its model since {use.committed:%Y-%m-%d %H:%M:%SZ}"


def _kept_since(evidence: Evidence, md5: str) -> datetime | None:
    try:
        return evidence.objects.kept_since(md5)
    except ProjectError:
        return None
