"""The public interface in Python: what the commands answer, as data and as tables.

    from lineage.api import audit, diff, trace, verify

    verify("models:/NAME@candidate").state        # PASS, FAIL, INCONCLUSIVE or ERASED
    trace("models:/NAME@candidate").table()       # a pandas.DataFrame, a row for each model
    audit("PAT-00023", since="2026-01-01").state  # PASSED, FAILED or INCONCLUSIVE
    diff("models:/NAME/1", "models:/NAME/2").table()

These functions, the classes that they return and their documented attributes stay as they are between versions of the
template, or the changelog says so. Everything else below `lineage` is the framework's own, and may change at any time.

Each function looks at Git, DVC and MLflow as they are when it is called, of the project that the working directory is
in, or `project`. Where it could not look, it raises `ProjectError`: that is no answer, and says what to do now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .base.errors import ProjectError
from .base.project import project_root

if TYPE_CHECKING:
    import pandas as pd

    from .audit.exclusion import Exclusion
    from .audit.manifests import Record
    from .audit.questions import SubjectAnswer
    from .audit.use import Use
    from .contract import Role
    from .proof.case import Evidence
    from .proof.verify import Link, Verdict

__all__ = [
    "Answer",
    "Chains",
    "Difference",
    "Exclusion",
    "Link",
    "ProjectError",
    "Proof",
    "Record",
    "Role",
    "SubjectAnswer",
    "Use",
    "Verdict",
    "audit",
    "diff",
    "trace",
    "verify",
]

# the parts of answers; where they come from takes a second to import, and only who asks needs it
PARTS = {
    "Exclusion": ".audit.exclusion",
    "Link": ".proof.verify",
    "Record": ".audit.manifests",
    "Role": ".contract",
    "SubjectAnswer": ".audit.questions",
    "Use": ".audit.use",
    "Verdict": ".proof.verify",
}
State = Literal["PASS", "FAIL", "INCONCLUSIVE", "ERASED"]


def __getattr__(name: str) -> type:
    if name not in PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(PARTS[name], __package__), name)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Chains:
    """Where models come from. `document` is what `lineage trace --json` prints, each part as it is recorded."""

    document: dict[str, Any]

    def table(self) -> pd.DataFrame:
        """A row for each model: title, aliases, run, commits, dataset version, raw data. What is unknown is missing."""
        return _frame(
            (
                "model",
                "aliases",
                "training_run",
                "result_commit",
                "data_commit",
                "data_version",
                "dataset_version",
                "raw_data",
                "environment",
            ),
            (
                (
                    model["title"],
                    ", ".join((model["version"] or {}).get("aliases") or []),
                    (model["training_run"] or {}).get("id"),
                    (model["result_commit"] or {}).get("id"),
                    (model["data_commit"] or {}).get("id"),
                    model["data_version"],
                    (model["dataset"] or {}).get("md5"),
                    (model["raw"] or {}).get("md5"),
                    model["environment"],
                )
                for model in self.document["models"]
            ),
        )


@dataclass(frozen=True)
class Proof:
    """Whether the chains of models hold.

    `state` is the worst of all links: PASS, ERASED (all that is left is as it was), INCONCLUSIVE (not everything could
    be looked at: no proof) or FAIL. `verdicts` are the answers, a `Verdict` with its `Link`s for each model. `scope`
    says which models were looked for, `retired` which were left out.
    """

    state: State
    verdicts: tuple[Verdict, ...]
    scope: str
    retired: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """A row for each link of each model: its state, how many things were looked at, what was found, what to do."""
        return _frame(
            ("model", "link", "state", "looked_at", "text", "fix"),
            (
                (verdict.model, link.name, link.state, link.looked_at, link.text, link.fix)
                for verdict in self.verdicts
                for link in verdict.links
            ),
        )


@dataclass(frozen=True)
class Answer:
    """Who used the records of some subjects.

    With a moment, `state` is PASSED (in nothing made since, and nothing in doubt), FAILED or INCONCLUSIVE. Without one
    there is nothing to pass: it is COMPLETE, or INCONCLUSIVE where more may have used them than is listed. `reasons`
    says why it is not PASSED or COMPLETE, `looked_at` how many versions, runs and dataset versions were looked at.
    `answer` is all of it: an `Exclusion` with a moment, a `SubjectAnswer` without one, each with the `Use`s and
    `Record`s that it found.
    """

    state: Literal["PASSED", "FAILED", "COMPLETE", "INCONCLUSIVE"]
    reasons: tuple[str, ...]
    looked_at: dict[str, int]
    scope: str
    answer: SubjectAnswer | Exclusion

    def table(self) -> pd.DataFrame:
        """A row for each record of the subjects in what used them: what, in which dataset version, split and label."""
        found = getattr(self.answer, "found", None)
        if found is None:
            uses = getattr(self.answer, "uses", ())
            records = getattr(self.answer, "records", ())
            found = [(use, record) for use in uses for record in records if record.dataset in use.datasets]
        return _frame(
            ("used_by", "kind", "made", "subject_id", "record_id", "split", "label", "dataset_version"),
            (
                (
                    use.title,
                    use.kind,
                    max(use.moments, default=None),
                    record.subject_id,
                    record.record_id,
                    record.split,
                    record.label,
                    record.dataset,
                )
                for use, record in found
            ),
        )


@dataclass(frozen=True)
class Difference:
    """What differs between two sides. `document` is what `lineage diff --json` prints."""

    document: dict[str, Any]

    def table(self) -> pd.DataFrame:
        """A row for each section: different, equal (all was compared) or unknown; what was compared, what was not."""
        return _frame(
            ("section", "state", "compared", "unknown"),
            (
                (name, found["state"], found["compared"], "; ".join(found["unknown"]))
                for name, found in self.document["sections"].items()
            ),
        )


def trace(x: str, *, project: str | Path | None = None) -> Chains:
    """Where a model comes from; for a dataset, a commit or a tag, every model made from it.

    `x` is a version (`models:/NAME/3`, `models:/NAME@candidate`), a run id, a hash, a Git revision, an experiment, or a
    path.
    """
    from .proof.targets import resolve
    from .proof.trace import trace as chains

    evidence = _evidence(project)
    return Chains(chains(evidence, resolve(evidence, x)))


def verify(*models: str, rehash: bool = False, project: str | Path | None = None) -> Proof:
    """Proves the chains of the models that are named as in `trace`, or without names of every version of the project.

    With `rehash`, every object of the DVC remote is read, however large it is.
    """
    from .proof.asked import prove

    done = prove(_evidence(project), models, every=not models, rehash=rehash)
    return Proof(done.state, done.verdicts, done.scope, tuple(one.model for one in done.retired))


def audit(*ids: str, since: str | datetime | None = None, project: str | Path | None = None) -> Answer:
    """Who used the records of these subjects; with `since`, whether nothing that was made at that moment or later did.

    `since` is a date (its first moment), or a date and time in ISO 8601; without a zone, UTC is meant. Raises
    ValueError for what is no moment, and for an id that no record can have.
    """
    from .audit.exclusion import excluded
    from .audit.questions import subject
    from .records.ids import normalize_nfc

    if not ids:
        raise ValueError("name a subject")
    wanted = _possible([normalize_nfc(one) for one in ids])
    if since is not None:
        held = excluded(_evidence(project), wanted, _moment(since))
        return Answer(held.verdict, held.reasons, held.looked_at, held.scope, held)
    found = subject(_evidence(project), wanted)
    reasons = (*found.unknown, *(f"no manifest and no registry has ever held {one!r}" for one in found.unknown_ids))
    return Answer("INCONCLUSIVE" if reasons else "COMPLETE", reasons, found.looked_at, found.scope, found)


def diff(a: str, b: str = "workspace", *, project: str | Path | None = None) -> Difference:
    """What differs between two models, commits or experiments, or between one and the workspace."""
    from .judgement.diff.difference import difference

    return Difference(difference(_evidence(project), a, b).document)


def _evidence(project: str | Path | None) -> Evidence:
    from .proof.case import Evidence

    return Evidence(project_root() if project is None else Path(project).resolve())


def _possible(ids: Sequence[str]) -> list[str]:
    from .records.ids import fault_of_id

    for one in ids:
        if fault := fault_of_id(one, "subject_id"):
            raise ValueError(f"{one!r} is {fault}, so no record can have it")
    return list(dict.fromkeys(ids))


def _moment(since: str | datetime) -> datetime:
    from .records.moments import read_moment

    moment = read_moment(since) if isinstance(since, str) else since
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _frame(columns: Sequence[str], rows: Any) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns))
