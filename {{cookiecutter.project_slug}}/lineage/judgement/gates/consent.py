"""Gate consent: everybody whose records the version has learnt from may be used today (`lineage audit affected`)."""

from __future__ import annotations

from collections.abc import Collection

from ...audit.ancestors import Ancestors
from ...audit.holdings import Holdings
from ...audit.questions import AffectedAnswer, affected
from ...audit.trained import use_of_version
from ...base.printable import some
from ...contract import Role
from ...git.history import History
from ...proof.case import ModelCase
from ...settings.params import Settings
from ..diff.section import counted
from .answer import Answer


def consent(case: ModelCase, settings: Settings) -> Answer:
    """By the consent registry of this moment; without one in the project, nobody is asked, and that is said."""
    if settings.privacy.registry is None:
        if case.recorded.read(Role.CONSENT) is None and not were_asked(case.history, _of_ancestors(case)):
            return Answer("PASS", "this project asks nobody for consent (privacy.name is none)", {"registry": None})
        text = "it, or a model it started from, was made with a consent registry; params.yaml names none today"
        return Answer("INCONCLUSIVE", text, {"registry": None}, fix="lineage compose privacy=registry")
    return judge(affected(case.evidence, case.title), str(settings.privacy.name))


def _of_ancestors(case: ModelCase) -> set[str]:
    """The dataset versions of the models that it started from."""
    assert case.version is not None
    use = use_of_version(case.version)
    Ancestors(Holdings(case.evidence)).add_to(use, dict(case.version.tags))
    return use.datasets


def were_asked(history: History, datasets: Collection[str]) -> bool:
    """Whether a consent registry was asked for one of these dataset versions, by dvc.lock of any commit."""
    commits = {commit for md5 in datasets for commit in history.commits_holding(md5)}
    return any(history.at(commit).recorded.read(Role.CONSENT) is not None for commit in commits)


def judge(answer: AffectedAnswer, registry: str) -> Answer:
    """What the answer of the audit means here."""
    figures = {"registry": registry, "looked_at": answer.looked_at}
    if answer.affected:
        subjects = len({subject for each in answer.affected for subject in each.subjects})
        records = sum(each.records for each in answer.affected)
        who, what = counted(subjects, "subject"), counted(records, "record")
        text = f"{who} with {what} in its data {'has' if subjects == 1 else 'have'} no active consent today"
        counts = {"subjects": subjects, "records": records}
        return Answer("FAIL", text, figures | counts, fix="`dvc repro` leaves them out; judge the version it makes")
    if answer.unknown:
        text = f"{len(answer.unknown)} things could not be looked at"
        more = some(list(answer.unknown))
        return Answer("INCONCLUSIVE", text, figures | {"unknown": len(answer.unknown)}, more, "lineage audit affected")
    datasets = answer.looked_at["dataset versions"]
    if not datasets:  # nobody was looked at
        return Answer("INCONCLUSIVE", "it names no dataset version, so whose records are in it is unknown", figures)
    return Answer("PASS", f"all subjects of its data ({datasets} dataset versions) have active consent today", figures)
