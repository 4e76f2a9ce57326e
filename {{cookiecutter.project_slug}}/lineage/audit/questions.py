"""Which models saw a subject, who is in a model, and which models rest on records that may no longer be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..base.errors import ConsentError, LineageError
from ..chain.consent import read_now
from ..contract import Role
from ..dvc.dvcfile import PARAMS_FILE
from ..proof.case import Evidence
from ..proof.targets import resolve
from ..records.consent import active
from ..settings import load_settings
from .identity import known_to_registries
from .logged import missing
from .manifests import Manifests, Record
from .scope import Scope
from .use import Use


@dataclass(frozen=True)
class SubjectAnswer:
    """What used the records of some subjects."""

    ids: tuple[str, ...]
    scope: str
    looked_at: dict[str, int]  # versions, runs and dataset versions: the denominators
    records: tuple[Record, ...]
    uses: tuple[Use, ...]  # with some of these records
    unknown: tuple[str, ...]  # what could not be looked at, so that more may have used them
    differences: tuple[str, ...]  # between Git and MLflow
    unknown_ids: tuple[str, ...]  # ids that no manifest and no registry has ever held


@dataclass(frozen=True)
class Affected:
    """A version or run that rests on records of subjects whose consent is not active today."""

    use: Use
    subjects: tuple[str, ...]
    records: int  # without those of the erased, whose number is not known any more
    erased: int  # how many of the subjects were erased, and stand there by the salted hashes of their ids


@dataclass(frozen=True)
class AffectedAnswer:
    """What today's registry means for what was made before."""

    scope: str
    looked_at: dict[str, int]
    affected: tuple[Affected, ...]
    unknown: tuple[str, ...]
    differences: tuple[str, ...]  # between Git and MLflow


def subject(evidence: Evidence, ids: Sequence[str]) -> SubjectAnswer:
    """Every version, run and dataset version that used records of these subjects, with the records.

    Raises TrackerError if MLflow cannot be asked, LineageError if Git cannot.
    """
    scope = Scope(evidence)
    manifests = Manifests(evidence, scope.datasets)
    scope.count_equal_weights(manifests)
    records = manifests.records_of(ids)
    holding = {record.dataset for record in records}
    return SubjectAnswer(
        ids=tuple(ids),
        scope=scope.description,
        looked_at=denominators(scope, scope.uses, manifests),
        records=tuple(records),
        uses=tuple(use for use in scope.uses if use.datasets & holding),
        unknown=tuple(faults(scope, scope.uses, manifests)),
        differences=tuple(scope.differences),
        unknown_ids=tuple(sorted(unknown_ids(evidence, ids, {record.subject_id for record in records}))),
    )


def records(evidence: Evidence, asked: str) -> list[Record]:
    """The records of the dataset version that `asked` names, by subject. Raises LineageError if it names none."""
    target = resolve(evidence, asked)
    md5s = {case.recorded.md5(Role.DATASET) for case in target.cases}
    if target.hash and target.hash.endswith(".dir"):
        md5s = {target.hash}
    if len(md5s) != 1 or None in md5s:
        raise LineageError(f"{asked} leads to {len(md5s)} dataset versions. Name a model version or a dataset's hash.")
    md5 = str(md5s.pop())
    manifests = Manifests(evidence, [md5])
    found = manifests.all_records(md5) if md5 in manifests.usable else []
    if md5 in manifests.faults:
        raise LineageError(manifests.faults[md5])
    return found


def erased_beside(evidence: Evidence, found: Sequence[Record]) -> int:
    """How many subjects of the dataset version of these records were erased, so that their own are not among them."""
    left = (evidence.erasures.of_dataset(md5) for md5 in {record.dataset for record in found})
    return sum(len(erased.keys) for erased in left if erased)


def affected(evidence: Evidence, only: str | None = None) -> AffectedAnswer:
    """What rests on records that may no longer be used, by the consent registry of this moment.

    `only`: a version, models:/NAME/NUMBER; nothing else is looked at then, and it is unknown where there is none.
    Raises ConsentError if the project has no registry, or a ProjectError if it cannot be read.
    """
    settings = load_settings(evidence.root / PARAMS_FILE)
    if settings.privacy.registry is None:
        raise ConsentError("this project asks nobody for consent. `lineage compose privacy=registry` changes that.")
    consented = active(read_now(settings))
    scope = Scope(evidence)
    manifests = Manifests(evidence, scope.datasets)
    scope.count_equal_weights(manifests)
    not_active: dict[str, dict[str, int]] = {}
    for md5, subject_id, count in manifests.others_than(consented):
        not_active.setdefault(md5, {})[subject_id] = count
    found = []
    uses = [use for use in scope.uses if only in (None, use.name)]
    for use in uses:
        held = [not_active[md5] for md5 in use.datasets if md5 in not_active]
        if held:
            subjects = {subject_id for counts in held for subject_id in counts}
            erased = {subject_id for counts in held for subject_id, count in counts.items() if not count}
            known = sum(sum(counts.values()) for counts in held)
            found.append(Affected(use, tuple(sorted(subjects)), known, len(erased)))
    nothing = [] if uses else [f"{only}: no store of this project has it"]
    unknown = (*nothing, *faults(scope, uses, manifests))
    looked_at, differences = denominators(scope, uses, manifests), tuple(scope.differences)
    if only is not None:
        looked_at["dataset versions"] = len({md5 for use in uses for md5 in use.datasets})
    return AffectedAnswer(scope.description, looked_at, tuple(found), unknown, differences)


def denominators(scope: Scope, uses: Sequence[Use], manifests: Manifests) -> dict[str, int]:
    """How much was looked at, of these uses alone: what came after a certificate is none of its matter."""
    kinds = Counter(use.kind for use in uses)
    identities = {use.identity for use in uses}
    named = [model for identity, model in scope.holdings.git.models.items() if identity in identities]
    alone = Counter(use.role is Role.MODEL for use in uses if use.kind == "model in Git")
    return {
        "versions": kinds["version"],
        "runs": kinds["run"],
        "logged models": kinds["logged model"],
        "models in Git": sum(model.is_trained for model in named),
        "models in Git alone": alone[True],
        "results in Git": sum(not model.is_trained for model in named),  # of stages of one's own that read records
        "results in Git alone": alone[False],
        "stores": len(scope.holdings.stores.asked),
        "dataset versions": len(manifests.usable) + len(manifests.faults),
    }


def faults(scope: Scope, uses: Sequence[Use], manifests: Manifests) -> list[str]:
    """Everything about these uses that could not be looked at, in sentences."""
    alive = [use for use in uses if not use.left_no_model]
    unknown = [f"{use.title}: {reason}" for use in alive for reason in use.unknown]
    usable = set(manifests.usable)
    for use in (use for use in alive if use.root):
        roots = {manifests.root(md5) for md5 in use.datasets & usable}
        if roots and use.root not in roots:
            unknown.append(f"{use.title}: its tag subjects_root is that of no dataset version that it names")
    unread = {md5 for use in alive for md5 in use.datasets if md5 in manifests.faults}
    unknown += [f"dataset {md5}: {manifests.faults[md5]}" for md5 in sorted(unread)]
    return [*scope.unknown, *unknown, *dict.fromkeys(missing(scope, alive).values())]


def unknown_ids(evidence: Evidence, ids: Sequence[str], in_manifests: set[str]) -> set[str]:
    """Those of `ids` that neither a manifest nor a consent registry, of now or of any commit, has ever held."""
    rest = set(ids) - in_manifests
    return rest - known_to_registries(evidence, rest) if rest else set()
