"""Proves the chain of a model, link by link, and goes on after the first failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..base.errors import DamageError, ProjectError
from ..dvc.dvcfile import read_pipeline
from .attestations import attestations_of
from .case import Evidence, ModelCase
from .fixes import fix_of_link, register_again
from .git_models import GitModel
from .links import commit, logged, moments, objects, registry
from .links.aliases import aliases
from .links.attestation import attestation, name_and_number
from .links.environment import environment
from .links.lineage_file import lineage_file
from .links.reproduction import reproduction
from .links.run_record import run_record
from .recompute import CheckResult
from .result_commits import completed

Remake = Literal["no", "here", "fresh"]
State = Literal["PASS", "FAIL", "INCONCLUSIVE", "ERASED"]
WORSE: tuple[State, ...] = ("PASS", "ERASED", "INCONCLUSIVE", "FAIL")
SENTENCES: dict[State, str] = {
    "PASS": "what Git, DVC and MLflow record of this model agrees, and the bytes are those recorded.",
    "FAIL": "records of this model contradict each other, or bytes are missing or changed.",
    "INCONCLUSIVE": "not everything could be looked at; this is no proof.",
    "ERASED": "what is left of this model agrees; records of its data were erased on purpose.",
}
WITHOUT_MLFLOW = "what Git and DVC record of this model agrees, and the bytes are those recorded; MLflow was not asked."
NOT_ATTESTED = (
    "not attested: no branch or tag here has an attestation of it. If one was taken away with its commits, only a log "
    "that names it shows that (`lineage log check`)."
)
LIMITS = (
    "Not shown by this: that running this code on these data gives these weights (`lineage reproduce` does), nor what "
    "nobody recorded. Who must be honest for what: docs/threats.md."
)
ALIASES = "aliases"  # the name of the link about who has which alias
ATTESTATION = "attestation"
SHOWN = 5  # of the faults of one link; `--json` has all of them


@dataclass(frozen=True)
class Link:
    """The answer for one link of the chain."""

    name: str
    state: State
    text: str  # what was found, in a sentence
    looked_at: int  # how many things were compared
    faults: tuple[str, ...] = ()  # each thing that is not as recorded
    fix: str = ""  # what to do now


@dataclass(frozen=True)
class Verdict:
    """The answer for one model."""

    model: str  # models:/NAME/NUMBER, or lineage.json
    links: tuple[Link, ...]
    notes: tuple[str, ...] = ()  # what was not looked at, and does not change the answer
    asks_mlflow: bool = True

    @property
    def state(self) -> State:
        """The worst of the links: FAIL, INCONCLUSIVE, ERASED (all that is left is as it was), PASS."""
        return max((link.state for link in self.links), key=WORSE.index, default="INCONCLUSIVE")

    @property
    def sentence(self) -> str:
        """The answer for whoever reads one line."""
        return SENTENCES[self.state] if self.asks_mlflow or self.state != "PASS" else WITHOUT_MLFLOW

    @property
    def is_attested(self) -> bool:
        """Whether an attestation was looked at, and holds."""
        return any((link.name, link.state) == (ATTESTATION, "PASS") for link in self.links)

    @property
    def fix(self) -> str:
        """What to do now: about the first link that failed, or else the first of which nothing can be said."""
        open_ = [link for link in self.links if link.state == self.state and link.state in ("FAIL", "INCONCLUSIVE")]
        return next((link.fix for link in open_ if link.fix), "")


def verify(
    case: ModelCase, *, rehash: bool = False, reproduce: Remake = "no", before_attesting: bool = False
) -> Verdict:
    """Proves every link. Without a version in the case, MLflow is not asked: Git and DVC are.

    With `reproduce` the model is made once more at the end, in this environment or in one made from its lock. With
    `before_attesting` earlier attestations are left out: the next one takes their place.
    """
    checks = [*_checks(case, rehash)]
    notes = []
    if not before_attesting:
        if _is_attested(case):
            checks.append((ATTESTATION, attestation))
        else:
            notes.append(NOT_ATTESTED)
    if reproduce != "no":
        checks.append(("made once more", partial(reproduction, here=reproduce == "here")))
    links = tuple(_prove(name, check, case) for name, check in checks)
    return Verdict(case.title, links, tuple(notes), asks_mlflow=case.version is not None)


def nothing_to_prove(asked: str, execution: str | None = None) -> Verdict:
    """The answer for something that no registered model belongs to; `execution` is that of the pipeline it is from."""
    text, fix = "no model that this project has registered belongs to it.", ""
    if execution is not None:
        text = f"execution {execution} of a pipeline was not collected yet, so nothing here holds what it made."
        fix = f"`lineage pipeline collect {execution}`, then `git add --all && git commit`, then ask again"
    return Verdict(asked, (Link("version", "INCONCLUSIVE", text, 0, fix=fix),))


def not_in_mlflow(evidence: Evidence, model: GitModel) -> Verdict:
    """The answer for a model that Git holds and MLflow does not: nobody can say what became of its version."""
    text = (
        "Git holds it, and MLflow has no version of it. It was never registered, or its version was deleted, or it is "
        "in another store."
    )
    history = evidence.history
    again = register_again(history.at(model.commits[0]).pipeline if model.commits else read_pipeline(evidence.root))
    if model.commits:
        commit = completed(history, model.commits[0])[:12]
        again = f"`git checkout -b again-{commit} {commit} && dvc checkout`, {again}"
    return Verdict(model.title, (Link("version", "INCONCLUSIVE", text, 1, fix=f"to register it again: {again}"),))


def exit_code(verdicts: list[Verdict]) -> int:
    """0 if all pass, 1 if any fails, 2 if any is unknown or there is none, 3 if any was erased."""
    worst = max((verdict.state for verdict in verdicts), key=WORSE.index, default="INCONCLUSIVE")
    return {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2, "ERASED": 3}[worst]


def _checks(case: ModelCase, rehash: bool) -> Iterator[tuple[str, Callable[[ModelCase], CheckResult]]]:
    registered = case.version is not None
    if registered:
        yield "version", registry.version
        yield "training run", moments.training_run
        yield "parameters in MLflow", logged.parameters
        yield "metrics in MLflow", logged.metrics
        yield "other runs", logged.other_runs
    yield "result commit", commit.result_commit
    yield "dvc.lock", commit.dvc_lock
    yield "code", commit.code
    yield "parameters", commit.parameters
    yield "lineage.json", lineage_file
    yield "run record", run_record
    yield "environment", environment
    yield "data commit", commit.data_commit
    yield "metrics", objects.metrics
    yield "DVC remote", partial(objects.remote_objects, rehash=rehash)
    yield "DVC cache", objects.cached_objects
    yield "dataset", objects.dataset
    if registered:
        yield "registered artifact", registry.artifact
        yield ALIASES, aliases


def _is_attested(case: ModelCase) -> bool:
    named = name_and_number(case)
    return named is not None and bool(attestations_of(case.history, *named))


def _prove(name: str, check: Callable[[ModelCase], CheckResult], case: ModelCase) -> Link:
    try:
        result = check(case)
    except DamageError as error:
        return Link(name, "FAIL", str(error), 0, (str(error),), error.fix or fix_of_link(name, case))
    except ProjectError as error:
        return Link(name, "INCONCLUSIVE", str(error), 0, fix=error.fix)
    except Exception as error:  # damage has no end of forms: what cannot be read proves nothing, and the rest goes on
        return Link(name, "INCONCLUSIVE", f"cannot be read: {type(error).__name__}: {error}", 0)
    if result.faults:
        more = f" (and {len(result.faults) - SHOWN} more)" if len(result.faults) > SHOWN else ""
        listed = f"{len(result.faults)} of {result.looked_at}: {'; '.join(result.faults[:SHOWN])}{more}."
        fix = result.fix or fix_of_link(name, case)
        return Link(name, "FAIL", result.summary or listed, result.looked_at, tuple(result.faults), fix)
    if result.unknown:
        more = f" (and {len(result.unknown) - SHOWN} more)" if len(result.unknown) > SHOWN else ""
        text = f"{'; '.join(result.unknown[:SHOWN])}{more}."
        return Link(name, "INCONCLUSIVE", text, result.looked_at, tuple(result.unknown), result.fix)
    if result.erased:
        more = f" (and {len(result.erased) - SHOWN} more)" if len(result.erased) > SHOWN else ""
        counted = f"{result.looked_at} of {result.looked_at} {result.meaning or MEANING[name]}{result.note}"
        text = f"{counted}; erased on purpose: {'; '.join(result.erased[:SHOWN])}{more}."
        return Link(name, "ERASED", text, result.looked_at, tuple(result.erased))
    if not result.looked_at and name != "DVC cache":  # an empty cache is no fault
        return Link(name, "INCONCLUSIVE", "nothing was there to look at.", 0)
    text = f"{result.looked_at} of {result.looked_at} {result.meaning or MEANING[name]}{result.note}."
    return Link(name, "PASS", text, result.looked_at)


MEANING = {
    "version": "properties and tags are those of lineage.json",
    "training run": "properties and tags are those of lineage.json",
    "parameters in MLflow": "of the runs of train and evaluate, and of the registered model, are those of dvc.lock",
    "metrics in MLflow": "are those that the stages wrote",
    "other runs": "statements of the runs of preprocess, evaluate and register agree with lineage.json and the commit",
    "result commit": "conditions hold: it exists, a ref leads to it, and where there is a Git remote it is pushed",
    "dvc.lock": "entries of train are this model",
    "code": "commands, declarations, dependencies and what else training loaded: the commit has the hashes recorded",
    "parameters": "in params.yaml of the commit are those of dvc.lock",
    "lineage.json": "statements agree with dvc.lock and with the listings in DVC",
    "run record": "statements of models/run.json agree with dvc.lock and with the scores of training",
    "environment": "checks hold: the lock is the commit's, and what was installed is the lock's",
    "data commit": "records hold this dataset version",
    "metrics": "are those that evaluate wrote",
    "DVC cache": "checks hold: the objects that the cache holds have the right content",
    "dataset": "checks hold: each row of the manifest is in the shards, each image has its SHA-256",
    "registered artifact": "files are those that register made",
    ALIASES: "statements hold: what is decided on is where Git's decisions put it, and nothing else is",
    ATTESTATION: "signatures and statements of the attestation hold",
    "made once more": "outputs are bit-identical",
}
