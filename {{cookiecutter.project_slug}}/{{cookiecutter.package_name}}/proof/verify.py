"""Proves the chain of a model, link by link, and goes on after the first failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..errors import DamageError, ProjectError
from .case import Case
from .git_models import GitModel
from .links import commit, moments, objects, registry
from .recompute import Tally

State = Literal["PASS", "FAIL", "INCONCLUSIVE", "ERASED"]
WORSE: tuple[State, ...] = ("PASS", "ERASED", "INCONCLUSIVE", "FAIL")
SHOWN = 5  # of the faults of one link; `--json` has all of them


@dataclass(frozen=True)
class Link:
    """The answer for one link of the chain."""

    name: str
    state: State
    text: str
    looked_at: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The answer for one model."""

    model: str
    links: tuple[Link, ...]

    @property
    def state(self) -> State:
        """The worst of the links: FAIL, INCONCLUSIVE, ERASED (all that is left is as it was), PASS."""
        return max((link.state for link in self.links), key=WORSE.index, default="INCONCLUSIVE")


def verify(case: Case, *, rehash: bool = False) -> Verdict:
    """Proves every link. Without a version in the case, MLflow is not asked: Git and DVC are."""
    return Verdict(case.title, tuple(_prove(name, check, case) for name, check in _checks(case, rehash)))


def nothing_to_prove(asked: str) -> Verdict:
    """The answer for something that no registered model belongs to."""
    link = Link("version", "INCONCLUSIVE", "no model that this project has registered belongs to it.", 0)
    return Verdict(asked, (link,))


def not_in_mlflow(model: GitModel) -> Verdict:
    """The answer for a model that Git holds and MLflow does not: nobody can say what became of its version."""
    text = (
        "Git holds it, and MLflow has no version of it. It was never registered, or its version was deleted, or it is "
        f"in another store. `git checkout {model.commits[0][:12] if model.commits else 'HEAD'}` leads to it."
    )
    return Verdict(model.title, (Link("version", "INCONCLUSIVE", text, 1),))


def exit_code(verdicts: list[Verdict]) -> int:
    """0 if all pass, 1 if any fails, 2 if any cannot be told or there is nothing to tell of, 3 if any was erased."""
    worst = max((verdict.state for verdict in verdicts), key=WORSE.index, default="INCONCLUSIVE")
    return {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2, "ERASED": 3}[worst]


def _checks(case: Case, rehash: bool) -> Iterator[tuple[str, Callable[[Case], Tally]]]:
    registered = case.version is not None
    if registered:
        yield "version", registry.version
        yield "training run", moments.training_run
        yield "parameters in MLflow", registry.logged_parameters
    yield "result commit", commit.result_commit
    yield "dvc.lock", commit.dvc_lock
    yield "code", commit.code
    yield "parameters", commit.parameters
    yield "lineage.json", commit.lineage_file
    yield "environment", commit.environment
    yield "data commit", commit.data_commit
    yield "metrics", objects.metrics
    yield "DVC remote", partial(objects.remote_objects, rehash=rehash)
    yield "DVC cache", objects.cached_objects
    yield "dataset", objects.dataset
    if registered:
        yield "registered artifact", registry.artifact


def _prove(name: str, check: Callable[[Case], Tally], case: Case) -> Link:
    try:
        tally = check(case)
    except DamageError as error:
        return Link(name, "FAIL", str(error), 0, (str(error),))
    except ProjectError as error:
        return Link(name, "INCONCLUSIVE", str(error), 0)
    except Exception as error:  # damage has no end of forms: what cannot be read proves nothing, and the rest goes on
        return Link(name, "INCONCLUSIVE", f"cannot be read: {type(error).__name__}: {error}", 0)
    if tally.faults:
        more = f" (and {len(tally.faults) - SHOWN} more)" if len(tally.faults) > SHOWN else ""
        text = f"{len(tally.faults)} of {tally.looked_at}: {'; '.join(tally.faults[:SHOWN])}{more}."
        return Link(name, "FAIL", text, tally.looked_at, tuple(tally.faults))
    if tally.erased:
        more = f" (and {len(tally.erased) - SHOWN} more)" if len(tally.erased) > SHOWN else ""
        counted = f"{tally.looked_at} of {tally.looked_at} {MEANING[name]}{tally.note}"
        text = f"{counted}; erased on purpose: {'; '.join(tally.erased[:SHOWN])}{more}."
        return Link(name, "ERASED", text, tally.looked_at, tuple(tally.erased))
    if not tally.looked_at and name != "DVC cache":  # an empty cache is no fault
        return Link(name, "INCONCLUSIVE", "nothing was there to look at.", 0)
    text = f"{tally.looked_at} of {tally.looked_at} {MEANING[name]}{tally.note}."
    return Link(name, "PASS", text, tally.looked_at)


MEANING = {
    "version": "properties and tags are those of lineage.json",
    "training run": "properties and tags are those of lineage.json",
    "parameters in MLflow": "are those of dvc.lock",
    "result commit": "conditions hold: it exists, a ref leads to it, with a Git remote it is pushed",
    "dvc.lock": "entries of train are this model",
    "code": "commands, declarations and dependencies, computed anew from the commit, are those of dvc.lock",
    "parameters": "in params.yaml of the commit are those of dvc.lock",
    "lineage.json": "statements agree with dvc.lock and with the listings in DVC",
    "environment": "checks hold: the lock is the commit's, and what was installed is the lock's",
    "data commit": "records hold this dataset version",
    "metrics": "are those that evaluate wrote",
    "DVC remote": "checks hold: objects are there with their sizes",
    "DVC cache": "checks hold: the objects that the cache holds have the right content",
    "dataset": "checks hold: each row of the manifest is in the shards, each image has its SHA-256",
    "registered artifact": "files are those that register made",
}
