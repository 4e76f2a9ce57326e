"""What a certificate proves by itself: that its answer, its lists and its proofs agree, under the roots that it names.

scripts/check_certificate.py asks the same, written apart from this: a test holds one against the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ..dvc.hashes import sha256_of_json
from ..records.merkle import root_of_dataset, root_of_tree, subject_key
from .certificate_form import Certificate, Leaf, LookedAt, Proved, Use

LATE = timedelta(minutes=5)  # how far two clocks may lie apart
KINDS: tuple[LookedAt, ...] = ("versions", "runs", "logged models", "models in Git alone", "results in Git alone")


def faults_of(document: dict[str, Any], now: datetime | None = None) -> list[str]:
    """All that does not hold in a document that has the form of a certificate."""
    certificate = Certificate.model_validate(document)
    digest = sha256_of_json({key: value for key, value in document.items() if key != "digest"})
    return [
        *([] if certificate.digest == digest else ["it was changed after it was written: its digest is wrong"]),
        *_faults_of_moments(certificate, now or datetime.now(UTC)),
        *_faults_of_numbers(certificate),
        *_faults_of_answer(certificate),
    ]


def _faults_of_moments(certificate: Certificate, now: datetime) -> Iterator[str]:
    since, moment = certificate.question.since, certificate.moment
    if moment > now + LATE:
        yield f"it was written in the future, at {moment.isoformat()}; now is {now.isoformat(timespec='seconds')}"
    if since > moment:
        yield "it is dated before its own `since`"
    for use in [*certificate.models, *certificate.without_model]:
        moments = [made for made in (use.started, use.ended, use.registered, use.committed) if made]
        if (use.ended or use.registered or use.committed) and max(moments) < since:
            yield f"{use.name} was not made since then"
        if any(made > moment + LATE for made in moments):
            yield f"{use.name} was made after the certificate"


def _faults_of_numbers(certificate: Certificate) -> Iterator[str]:
    """The numbers are those of the lists, nothing is listed twice, and models and dataset versions belong together."""
    seen, models, datasets = certificate.looked_at, certificate.models, [entry.md5 for entry in certificate.datasets]
    listed = [use.name for use in [*models, *certificate.without_model]]
    subjects = certificate.question.subjects
    wrong = {
        "a subject is named twice": len({*subjects}) < len(subjects),
        "a model is listed twice": len({*listed}) < len(listed),
        "a dataset version is listed twice": len({*datasets}) < len(datasets),
        "the number of models is not that of the list": seen["made since"] != len(models),
        "the number of dataset versions is not that of the list": seen["dataset versions since"] != len(datasets),
        "more was made since than there is in all": sum(seen[kind] for kind in KINDS) < len(listed)
        or seen["dataset versions"] < len(datasets),
        "there are more controls than dataset versions": certificate.controls > len(datasets),
        "the dataset versions are not those that the models rest on": {md5 for use in models for md5 in use.datasets}
        != {*datasets},
    }
    yield from (fault for fault, is_so in wrong.items() if is_so)


def _faults_of_answer(certificate: Certificate) -> Iterator[str]:
    """The answer is computed from the proofs and compared."""
    proved = [entry for entry in certificate.datasets if isinstance(entry, Proved)]
    held: dict[str, set[str]] = {}  # subjects by dataset version
    for entry in proved:
        if [proof.subject for proof in entry.proofs] != certificate.question.subjects:
            yield f"dataset {entry.md5} has not one proof for each subject"
        for proof in entry.proofs:
            holds = _holds(entry, proof.subject, proof.steps)
            if holds is None:
                yield f"the proof for {proof.subject} in dataset {entry.md5} proves nothing"
            elif holds:
                held.setdefault(entry.md5, set()).add(proof.subject)
    names = {f"{subject} is in {use.name}" for use in certificate.models for subject in _in(use, held)}
    if not names <= {*certificate.reasons}:
        yield "its reasons do not name everything that it proves"
    is_sure = (
        not certificate.reasons
        and len(proved) == len(certificate.datasets) == certificate.controls
        and bool(certificate.models)
        and all(use.datasets for use in certificate.models)
    )
    answer = "FAILED" if held else "PASSED" if is_sure else "INCONCLUSIVE"
    if certificate.answer != answer:
        yield f"it says {certificate.answer}, and by its proofs and numbers it is {answer}"
    elif certificate.answer == "INCONCLUSIVE" and not certificate.reasons:
        yield "it says INCONCLUSIVE without a reason"


def _in(use: Use, held: dict[str, set[str]]) -> set[str]:
    return {subject for md5 in use.datasets for subject in held.get(md5, ())}


def _holds(dataset: Proved, subject: str, leaves: list[Leaf]) -> bool | None:
    """Whether a subject is in a dataset version, by these leaves; None if they prove neither."""
    own, keys = subject_key(dataset.salt, subject).hex(), [leaf.key for leaf in leaves]
    tops = [_top(leaf, dataset.subjects) for leaf in leaves] or [hashlib.sha256().digest()]
    roots = (None if top is None else root_of_tree(dataset.salt, dataset.subjects, top) for top in tops)
    if any(root is None or root_of_dataset(dataset.md5, root) != dataset.root for root in roots):
        return None
    if keys == [own]:
        return True
    match leaves:
        case []:
            is_absent = dataset.subjects == 0
        case [only]:
            is_first, is_last = only.position == 0, only.position == dataset.subjects - 1
            is_absent = (is_first and own < only.key) or (is_last and only.key < own)
        case [left, right]:
            is_absent = left.position + 1 == right.position and left.key < own < right.key
        case _:
            is_absent = False
    return False if is_absent else None


def _top(leaf: Leaf, count: int) -> bytes | None:
    """The top of a tree of `count` leaves by one leaf and its path; None if they do not fit."""
    if leaf.position >= count:
        return None
    path = [bytes.fromhex(node) for node in leaf.path]
    return _climb(hashlib.sha256(b"\x00" + bytes.fromhex(leaf.key)).digest(), leaf.position, count, path)


def _climb(node: bytes, position: int, count: int, path: list[bytes]) -> bytes | None:
    """By the recursive definition of RFC 6962: the last node of a path stands beside the half that holds the leaf."""
    if count == 1 or not path:
        return node if count == 1 and not path else None
    half = 1 << (count - 1).bit_length() - 1
    is_left = position < half
    below = _climb(node, position if is_left else position - half, half if is_left else count - half, path[:-1])
    if below is None:
        return None
    return hashlib.sha256(b"\x01" + (below + path[-1] if is_left else path[-1] + below)).digest()
