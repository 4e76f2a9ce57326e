"""Proves all that somebody named, or every version of the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .case import Evidence
from .retired import Retirement, retirement_of
from .targets import all_versions, not_in_mlflow, resolve, scope_of
from .verify import WORSE, Remake, State, Verdict, nothing_to_prove, verify
from .verify import not_in_mlflow as not_there


@dataclass(frozen=True)
class Proof:
    """The answers of all models that were looked at."""

    verdicts: tuple[Verdict, ...]
    scope: str  # which models were looked for, and where
    retired: tuple[Retirement, ...]  # versions that nobody has to prove any more: not looked at

    @property
    def state(self) -> State:
        """The worst of the verdicts; INCONCLUSIVE if there is none."""
        return max((verdict.state for verdict in self.verdicts), key=WORSE.index, default="INCONCLUSIVE")


def prove(
    evidence: Evidence, named: Sequence[str], *, every: bool = False, rehash: bool = False, remake: Remake = "no"
) -> Proof:
    """Proves the models that `named` lead to, or with `every` all versions and what MLflow has forgotten of them.

    Raises LineageError where something names nothing, TrackerError where MLflow cannot be asked: neither is an answer.
    """
    targets = {x: resolve(evidence, x) for x in named}
    cases = all_versions(evidence) if every else [case for found in targets.values() for case in found.cases]
    retired = [found for case in cases if every and (found := retirement_of(case, unless_named=True))]
    absent = not_in_mlflow(evidence, cases) if every else []
    cases = [case for case in cases if case.title not in {one.model for one in retired}]
    verdicts = [verify(case, rehash=rehash, reproduce=remake) for case in cases]
    verdicts += [nothing_to_prove(x, found.execution) for x, found in targets.items() if not found.cases]
    verdicts += [not_there(evidence, model) for model in absent]
    return Proof(tuple(verdicts), scope_of(evidence, cases, every=every), tuple(retired))
