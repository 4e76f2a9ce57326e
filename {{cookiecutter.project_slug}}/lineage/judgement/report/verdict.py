"""What verify says of the model of one side."""

from __future__ import annotations

from dataclasses import dataclass

from ...dvc.dvcfile import PARAMS_FILE
from ...proof.case import Evidence, ModelCase
from ...proof.targets import resolve
from ...proof.verify import Link, Verdict, nothing_to_prove, verify
from ...settings import load_settings
from ...tracking.candidate import is_shared
from ..diff.sides import WORKSPACE, Side

OF_ANOTHER_MACHINE = "what Git and DVC record of this model agrees; MLflow's store is a file, and not on this machine."
SILENT = Link("version", "INCONCLUSIVE", "MLflow could not be asked.", 0)


@dataclass(frozen=True)
class Proved(Verdict):
    """A verdict for readers who do not know where MLflow's store is."""

    asks_mlflow: bool = True

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        return OF_ANOTHER_MACHINE if self.state == "PASS" and not self.asks_mlflow else super().sentence


def verdicts(evidence: Evidence, side: Side) -> list[Proved]:
    """That of each version of the model; without one, that of its lineage.json, where MLflow's store is a file.

    Such a store is on the machine that made the model. A server that has no version of it is another thing: then it was
    not registered; and of one that does not answer, nobody can say.
    """
    shared = is_shared(load_settings(evidence.root / PARAMS_FILE).tracking)
    cases = [side.case] if side.case else resolve(evidence, side.commit or "HEAD").cases
    if side.asked == WORKSPACE:
        cases = [case for case in cases if case.identity == side.recorded.identity]
    if not cases and side.document and not shared:
        cases = [ModelCase(evidence, None, side.document)]
    found = [_proved(case, shared=shared) for case in cases]
    return found or [Proved(side.asked, nothing_to_prove(side.asked).links)]


def _proved(case: ModelCase, *, shared: bool) -> Proved:
    links = verify(case).links
    if case.version is None and shared:
        links = (SILENT, *links)
    return Proved(case.title, links, asks_mlflow=case.version is not None)
