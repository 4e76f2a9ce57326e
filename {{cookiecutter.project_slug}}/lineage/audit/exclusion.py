"""Was a subject excluded from everything that was made since a moment? Never comforting without a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ..base.errors import ProjectError
from ..proof.case import Evidence
from .dating import was_before, why_doubtful
from .manifests import ERASED, Manifests, Record
from .questions import denominators, faults, unknown_ids
from .scope import Scope
from .use import Use

Verdict = Literal["PASSED", "FAILED", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Exclusion:
    """The answer, and all that it rests on."""

    ids: tuple[str, ...]
    since: datetime
    until: datetime  # what was begun after it was not looked at
    verdict: Verdict
    reasons: tuple[str, ...]  # why it is not PASSED; empty if it is
    scope: str
    looked_at: dict[str, int]  # denominators: of the whole project, and of what was made since
    after: tuple[Use, ...]  # versions and runs that were started, ended or registered since
    datasets: tuple[str, ...]  # that these rest on
    found: tuple[tuple[Use, Record], ...]  # records of the subjects in them
    without_model: tuple[Use, ...]  # runs since then that failed or were killed: listed, and block nothing
    controls: int  # subjects that are in a dataset for certain, looked up the same way and found
    differences: tuple[str, ...]  # between Git and MLflow
    copies: tuple[Record, ...]  # records in them with the content of a subject's record, under another id
    unreliable: dict[str, str]  # dataset versions that prove nothing, and why


def excluded(evidence: Evidence, ids: Sequence[str], since: datetime, until: datetime | None = None) -> Exclusion:
    """Whether none of the subjects is in any model or run that was started, ended or registered since `since`.

    What was begun after `until` is left out: so an earlier answer can be found again. Both have a zone. Raises
    ProjectError if MLflow or Git cannot be asked, or `since` lies in the future.
    """
    clock = datetime.now(UTC)
    now = until or clock
    since = since.replace(microsecond=since.microsecond // 1000 * 1000)  # as MLflow cuts its moments, never later
    if since > now:
        raise ProjectError(f"{since.isoformat()} lies in the future: nothing was made after it.")
    scope = Scope(evidence)
    then = [use for use in scope.uses if until is None or not _was_begun_between(use, until, clock)]
    since_then, before = list[Use](), list[Use]()
    for use in then:
        (since_then if use.is_after(since) or _is_unsettled(use) else before).append(use)
    after = [use for use in since_then if not use.left_no_model]
    doubtful = [use for use in before if not was_before(evidence, use, since)]
    manifests = Manifests(evidence, sorted({md5 for use in then for md5 in use.datasets}))
    scope.count_equal_weights(manifests)
    datasets = sorted({md5 for use in after for md5 in use.datasets})
    looked_up = _look_up(manifests, ids, datasets)
    found = [(use, record) for use in after for record in looked_up.records if record.dataset in use.datasets]
    unknown = [
        *(
            f"{record.subject_id} is in {use.title}, and nothing but MLflow says that it was made before "
            f"{since.isoformat()}: {why_doubtful(use)}"
            for use in doubtful
            for record in looked_up.records
            if record.dataset in use.datasets
        ),
        *faults(scope, [*after, *doubtful], manifests),
        *(
            f"{subject_id!r}: no manifest and no consent registry has ever held this id"
            for subject_id in sorted(unknown_ids(evidence, ids, {record.subject_id for record in looked_up.records}))
        ),
        *(
            f"dataset {md5}: a subject that is in it was not found: the look-up does not work"
            for md5 in looked_up.missed
        ),
    ]
    if not after:
        unknown.append(f"nothing was made since {since.isoformat()}, so there is nothing to be excluded from")
    reasons = [f"{record.subject_id} is in {use.title}" for use, record in found]
    return Exclusion(
        ids=tuple(ids),
        since=since,
        until=now,
        verdict="FAILED" if found else "INCONCLUSIVE" if unknown else "PASSED",
        reasons=tuple(dict.fromkeys([*reasons, *unknown])),
        scope=scope.description,
        looked_at={
            **denominators(scope, then, manifests),
            "made since": len(after),
            "dataset versions since": len(datasets),
        },
        after=tuple(after),
        datasets=tuple(datasets),
        found=tuple(found),
        without_model=tuple(use for use in since_then if use.left_no_model),
        controls=looked_up.controls,
        differences=tuple(scope.differences),
        copies=looked_up.copies,
        unreliable={md5: fault for md5, fault in manifests.faults.items() if md5 in datasets},
    )


@dataclass(frozen=True)
class _LookedUp:
    records: list[Record]  # of the subjects, in any dataset version
    copies: tuple[Record, ...]  # of others, with the same content
    controls: int  # subjects that are there for certain and were found
    missed: list[str]  # dataset versions in which such a subject was not found


def _look_up(manifests: Manifests, ids: Sequence[str], datasets: list[str]) -> _LookedUp:
    """The subjects in all manifests, and in the same question one that is in each of `datasets` for certain."""
    first = {md5: manifests.first_subject(md5) for md5 in datasets if md5 in manifests.usable}
    there = {md5: subject_id for md5, subject_id in first.items() if subject_id is not None}
    rows = manifests.records_of([*ids, *sorted(set(there.values()) - set(ids))])
    answered = {(record.dataset, record.subject_id) for record in rows}
    missed = [md5 for md5, subject_id in there.items() if (md5, subject_id) not in answered]
    records = [record for record in rows if record.subject_id in ids]
    contents = sorted({record.content_sha256 for record in records} - {ERASED})
    copies = tuple(record for record in manifests.records_with(contents, datasets) if record.subject_id not in ids)
    return _LookedUp(records, copies, len(there) - len(missed), missed)


def _was_begun_between(use: Use, until: datetime, now: datetime) -> bool:
    """Whether it came after the moment `until`, by MLflow and by Git. A moment that is yet to come dates nothing."""
    moments = [*use.moments, *([use.committed] if use.committed else [])]
    return bool(moments) and until < min(moments) <= now


def _is_unsettled(use: Use) -> bool:
    """Whether it may yet end after any moment: it is going on, or nobody knows when it was."""
    settled = use.ended or use.registered or (use.kind == "model in Git" and use.committed)
    return not use.left_no_model and not settled
