"""Which commits hold a dataset version or a model, found by hash alone: messages, dates and tags prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..errors import LineageError
from ..lineage.chain import model_identity
from ..lineage.facts import DATASET, join_versions, made_dataset
from ..pipeline.dvcfile import DVC_LOCK, PARAMS_FILE, Lock, locked_hash
from .history import LINEAGE, History
from .recompute import recompute_code, recompute_params

LATER = 30  # commits after one that is not whole, which are asked whether they complete it


def holds_model(lock: Lock, identity: str) -> bool:
    """Whether the entry of train in dvc.lock is exactly this model's."""
    return "train" in lock and model_identity(lock) == identity


def holds_dataset(history: History, commit: str, md5: str) -> bool:
    """Whether dvc.lock at a commit records the dataset version."""
    lock = history.lock(commit)
    return any(locked_hash(entry, kind, DATASET) == md5 for entry in lock.values() for kind in ("deps", "outs"))


def result_commits(history: History, identity: str, text: str) -> list[str]:
    """The commits that brought dvc.lock a state with this model, oldest first.

    `text` is a hash that every such dvc.lock holds; it spares reading the others.
    """
    # dvc.lock may have been committed before the rest: the commit that brought lineage.json counts as well
    candidates = (*history.commits_holding(text, path=DVC_LOCK), *history.commits_holding(identity, path=LINEAGE))
    return [commit for commit in dict.fromkeys(candidates) if holds_model(history.lock(commit), identity)]


def best_result_commit(
    history: History, identity: str, text: str, agrees: Callable[[dict[str, Any]], bool]
) -> str | None:
    """The commit to show for a model; None if no commit holds it.

    One on a branch or tag before others, then one whose lineage.json agrees; among equals the oldest that proves its
    code and parameters, or else the oldest.
    """

    def lacks(commit: str) -> tuple[bool, bool]:
        document = history.document(commit)
        return not history.is_permanent(commit), document is None or not agrees(document)

    found = result_commits(history, identity, text)
    least = min(map(lacks, found), default=None)
    equals = [commit for commit in found if lacks(commit) == least]
    if len(equals) <= 1:
        return next(iter(equals), None)
    return next((commit for commit in equals if proves(history, commit)), equals[0])


def completed(history: History, commit: str) -> str:
    """`commit`, or where parts of its run were left out of it, the first commit after it that holds all of them.

    Only the history of HEAD is looked at, and only as long as it keeps that model.
    """
    head = history.resolve("HEAD")
    lock = history.lock(commit)
    if head in (None, commit) or "train" not in lock or not holds_model(history.lock(str(head)), model_identity(lock)):
        return commit
    if proves(history, commit):
        return commit
    pipeline = history.pipeline(commit)
    sources = {source for stage in pipeline.stages.values() for source in pipeline.sources(stage)}
    paths = (DVC_LOCK, LINEAGE, PARAMS_FILE, "dvc.yaml", *sorted(sources))
    later = history.git.lines("rev-list", "--reverse", "--ancestry-path", f"{commit}..{head}", "--", *paths)
    for candidate in later[:LATER]:
        if holds_model(history.lock(candidate), model_identity(lock)) and proves(history, candidate):
            return candidate
    return commit


@cache
def proves(history: History, commit: str) -> bool:
    """Whether the code and the parameters of the commit are those that its dvc.lock records."""
    try:
        return not recompute_code(history, commit).faults and not recompute_params(history, commit).faults
    except LineageError:  # a submodule, or objects that are not here: then this commit proves nothing
        return False


def data_version(history: History, md5: str) -> str | None:
    """The Git tags of the data (without `data/`) whose commits record this dataset version; None without one.

    Several are one text, sorted and separated by a comma and a blank, which no name of a tag can hold.
    """
    tags = [tag for tag, commit in history.data_tags.items() if made_dataset(history.lock(commit)) == md5]
    return join_versions(tags)
