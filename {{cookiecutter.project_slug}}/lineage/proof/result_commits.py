"""Which commits hold a dataset version or a model, found by hash alone: messages, dates and tags prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..base.errors import LineageError
from ..contract import Role
from ..dvc.dvcfile import DVC_LOCK, DVC_YAML, PARAMS_FILE, Lock
from ..dvc.hashes import sha256_of_json
from ..git.history import History
from ..git.tree import LINEAGE, Tree
from .recompute import recompute_code, recompute_params

LATER = 30  # commits after one that is not whole, which are asked whether they complete it


def holds_model(lock: Lock, identity: str) -> bool:
    """Whether an entry of dvc.lock, under whatever name, is exactly this model's."""
    return any(sha256_of_json(entry) == identity for entry in lock.values())


def holds_dataset(history: History, commit: str, md5: str) -> bool:
    """Whether dvc.lock at a commit records the dataset version."""
    entries = history.at(commit).lock.values()
    items = (item for entry in entries for kind in ("deps", "outs") for item in entry.get(kind) or [])
    paths = history.roles.paths(Role.DATASET)
    return any(item["path"] in paths and item.get("md5") == md5 for item in items)


def result_commits(history: History, identity: str, text: str) -> list[str]:
    """The commits that brought dvc.lock a state with this model, oldest first.

    `text` is a hash that every such dvc.lock holds; it spares reading the others.
    """
    # dvc.lock may have been committed before the rest: the commit that brought lineage.json counts as well
    candidates = (*history.commits_holding(text, path=DVC_LOCK), *history.commits_holding(identity, path=LINEAGE))
    return [commit for commit in dict.fromkeys(candidates) if holds_model(history.at(commit).lock, identity)]


def best_result_commit(
    history: History, identity: str, text: str, agrees: Callable[[dict[str, Any]], bool]
) -> str | None:
    """The commit to show for a model; None if no commit holds it.

    One on a branch or tag before others, then one whose lineage.json agrees; among equals the oldest that proves its
    code and parameters, or else the oldest.
    """

    def lacks(commit: str) -> tuple[bool, bool]:
        document = history.at(commit).document
        return not history.is_permanent(commit), document is None or not agrees(document)

    found = result_commits(history, identity, text)
    least = min(map(lacks, found), default=None)
    equals = [commit for commit in found if lacks(commit) == least]
    if len(equals) <= 1:
        return next(iter(equals), None)
    return next((commit for commit in equals if proves(history.at(commit))), equals[0])


def completed(history: History, commit: str) -> str:
    """`commit`, or where parts of its run were left out of it, the first commit after it that holds all of them.

    Only the history of HEAD is looked at, and only as long as it keeps that model.
    """
    head, tree = history.resolve("HEAD"), history.at(commit)
    identity = tree.recorded.identity
    if head in (None, commit) or identity is None or not holds_model(history.at(str(head)).lock, identity):
        return commit
    if proves(tree):
        return commit
    sources = {source for stage in tree.pipeline.stages.values() for source in tree.pipeline.sources(stage)}
    paths = (DVC_LOCK, LINEAGE, PARAMS_FILE, DVC_YAML, *sorted(sources))
    later = history.git.lines("rev-list", "--reverse", "--ancestry-path", f"{commit}..{head}", "--", *paths)
    for candidate in later[:LATER]:
        if holds_model(history.at(candidate).lock, identity) and proves(history.at(candidate)):
            return candidate
    return commit


@cache
def proves(tree: Tree) -> bool:
    """Whether the code and the parameters of a commit are those that its dvc.lock records."""
    try:
        return not recompute_code(tree).faults and not recompute_params(tree).faults
    except LineageError:  # a submodule, or objects that are not here: then this commit proves nothing
        return False
