"""Why records are there no more, or are there now: consent and erasure, where the project's own records show it."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import ProjectError
from ...contract import Role
from ...records.consent import ACTIVE, read_snapshot
from .manifests import SUBJECT, summary
from .section import changes
from .sides import Side

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN = "unknown"
NOT_LISTED = "not in the consent registry"


class Consent:
    """The consent snapshot that a side's dataset version was made with."""

    def __init__(self, side: Side, unknown: list[str]) -> None:
        self.statuses: dict[str, str] | None = None  # None: the dataset asks for none, or it cannot be had
        md5 = side.recorded.md5(Role.CONSENT)
        if md5 is None:
            return
        try:
            with tempfile.TemporaryDirectory() as scratch:
                self.statuses = read_snapshot(side.evidence.objects.verified(md5, Path(scratch)))
        except ProjectError as error:
            unknown.append(f"{side.title}: its consent snapshot, and so who was left out for it: {error}")

    def refuses(self, subject: str) -> str | None:
        """Why a subject was left out, in words; None if not for consent, as far as is known."""
        if self.statuses is None:
            return None
        status = self.statuses.get(subject, NOT_LISTED)
        return None if status == ACTIVE else status if status == NOT_LISTED else f"consent {status}"


def causes(a: Side, b: Side, removed: pa.Table, added: pa.Table, unknown: list[str]) -> dict[str, Any]:
    """The causes of what was removed and added: how many records and subjects each explains."""
    before, after = Consent(a, unknown), Consent(b, unknown)
    erased = _Erased(a, b)

    def gone(subject: str) -> str:
        refused = after.refuses(subject)
        return erased.reason(subject) or (f"{refused} in B" if refused else UNKNOWN)

    def come(subject: str) -> str:
        reason = before.refuses(subject)
        return f"{reason} in A, active in B" if reason and after.statuses is not None else UNKNOWN

    return {"removed": _by_cause(removed, gone), "added": _by_cause(added, come), "other": _other(a, b)}


class _Erased:
    """Who was erased, by the tombstones in Git: salted hashes of ids, so that only a known id can be found in them."""

    def __init__(self, a: Side, b: Side) -> None:
        datasets = {side.recorded.read(Role.DATASET) for side in (a, b)}
        self._named = [
            (erasure, dataset)
            for erasure in a.evidence.erasures.all
            for md5, dataset in erasure.datasets.items()
            if md5 in datasets
        ]

    def reason(self, subject: str) -> str | None:
        return next((erasure.title for erasure, dataset in self._named if dataset.holds(subject)), None)


def _by_cause(table: pa.Table, cause: Any) -> dict[str, dict[str, Any]]:
    """Records and subjects by cause."""
    import pyarrow as pa
    import pyarrow.compute as pc

    subjects = pc.unique(table[SUBJECT]).to_pylist()
    by_subject = {subject: cause(subject) for subject in subjects}
    found = {}
    for name in sorted(Counter(by_subject.values()), key=lambda each: (each == UNKNOWN, each)):
        named = pa.array([subject for subject, why in by_subject.items() if why == name], pa.string())
        rows = table.filter(pc.is_in(pc.cast(table[SUBJECT], "string"), value_set=named))
        counts = summary("", rows, [])
        found[name] = {"records": counts["records"], "subjects": counts["subjects"]}
    return found


def _other(a: Side, b: Side) -> list[str]:
    """What else went into the dataset and differs: one of these may be the cause of what is unknown."""
    params = changes(*(dict(side.recorded.params(Role.DATASET)) for side in (a, b)))
    raw = [side.recorded.md5(Role.RAW) for side in (a, b)]
    consent = [side.recorded.md5(Role.CONSENT) for side in (a, b)]
    named = [f"{key}: {was} -> {now}" for key, (was, now) in params.items()]
    named += ["the raw data"] if raw[0] != raw[1] else []
    return named + (["the consent snapshot"] if consent[0] != consent[1] else [])
