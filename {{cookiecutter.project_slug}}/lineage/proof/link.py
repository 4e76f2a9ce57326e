"""Writes the commits that hold a run's data and result into MLflow, once these commits exist."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ..base.errors import LineageError
from ..contract import Role
from ..dvc.dvcfile import DVC_LOCK
from ..git.history import DATA_TAGS, History, join_versions
from .alias import move_candidate
from .case import Evidence, ModelCase
from .description import describe_version
from .page import page_of
from .result_commits import best_result_commit, completed, holds_dataset, holds_model, proves
from .targets import Target

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

RESULT, DATA, LOST = "result_git_commit_id", "data_git_commit_id", "lost_git_commit_id"


@dataclass
class Linked:
    """What `link` did: how many runs and versions were looked at, and which it changed or could not link."""

    looked_at: int = 0
    linked: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)  # no commit holds them
    without_result: int = 0  # runs that failed, were killed, or are going on
    lost: list[str] = field(default_factory=list)  # no ref leads to their commit any more, and no other holds them
    elsewhere: list[str] = field(default_factory=list)  # their commit is not in this clone
    edited: list[str] = field(default_factory=list)  # somebody has edited their description, so it stays
    alias: str = ""  # what a person should know of the alias `candidate`


def link_project(root: Path) -> Linked:
    """`link` for the project at `root`; waits while another one is at it."""
    evidence = Evidence(root)
    folder = evidence.main / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "link.lock"):
        return link(evidence)


def link(evidence: Evidence) -> Linked:
    """Finds data and result commit of every run and version of this project, by hash. Idempotent.

    What is linked stays as it is while its commit can be reached. Raises TrackerError if MLflow cannot be asked.
    """
    done = Linked()
    for run in evidence.store.runs.values():
        if run.info.lifecycle_stage == "active":
            _link_run(evidence, run, done)
    for version in evidence.store.versions:
        _link_version(evidence, version, done)
    done.alias = move_candidate(evidence)
    return done


def _link_run(evidence: Evidence, run: Run, done: Linked) -> None:
    tags, name = run.data.tags, f"run {run.info.run_id} ({run.data.tags.get('dvc_stage')})"
    done.looked_at += 1
    if run.info.status != "FINISHED":
        done.without_result += 1
        return
    wanted = _data_tags(evidence, tags)
    record = tags.get("dvc_run_md5")
    if record is None:  # a stage before training: its result is the dataset
        complete = DATA in wanted
    else:
        commit, identity = _result_by_record(evidence, record, tags.get(RESULT))
        wanted |= {RESULT: commit, "model_identity": identity} if commit else {}
        complete = commit is not None
    change = _change(evidence.history, tags, wanted, complete=complete)
    client = evidence.store.client
    with evidence.store.asked(f"set the tags of run {run.info.run_id}"):
        for key, value in change.put.items():
            client.set_tag(run.info.run_id, key, value)
        for key in change.drop:
            client.delete_tag(run.info.run_id, key)
    commit = wanted.get(DATA)
    if commit and DATA not in run.data.params and evidence.history.is_permanent(commit):
        with evidence.store.asked(f"log a parameter of run {run.info.run_id}"):
            client.log_param(run.info.run_id, DATA, commit)
    _count(done, name, change)


def _link_version(evidence: Evidence, version: ModelVersion, done: Linked) -> None:
    case = ModelCase(evidence, version)
    done.looked_at += 1
    wanted = _data_tags(evidence, version.tags)
    try:
        found = None if case.found_commit in evidence.history.boundary else case.found_commit
        commit = _kept(evidence.history, case.tagged_commit, case.identity, found)
        if commit and found and case.describes_model(found) and not case.describes_model(commit):
            commit = found
        commit = _whole(evidence.history, commit, found)
    except LineageError:
        commit = None
    wanted |= {RESULT: commit} if commit else {}
    change = _change(evidence.history, version.tags, wanted, complete=commit is not None)
    client = evidence.store.client
    with evidence.store.asked(f"set the tags of {case.title}"):
        for key, value in change.put.items():
            client.set_model_version_tag(version.name, version.version, key, value)
        for key in change.drop:
            client.delete_model_version_tag(version.name, version.version, key)
    if change.put or change.drop:
        version.tags.update(change.put)
        for key in change.drop:
            version.tags.pop(key, None)
        _log_page(case)
        done.edited += [] if describe_version(case) else [case.title]
    _count(done, case.title, change)


def _log_page(case: ModelCase) -> None:
    """Keeps the chain as a page among the artifacts of the run that registered the version, if one did."""
    assert case.version is not None
    run_id = case.version.tags.get("register_run_id")
    if run_id is None:
        return
    page = page_of(case.evidence, Target(case.title, "model version", [case]))
    with case.evidence.store.asked(f"log the page of {case.title}"):
        case.evidence.store.client.log_text(run_id, page, f"lineage/{case.version.name}-{case.version.version}.html")


def _data_tags(evidence: Evidence, tags: dict[str, str]) -> dict[str, Any]:
    """The data commit, and the Git tag of the data there, as far as they are known."""
    md5, history = tags.get("dvc_data_md5"), evidence.history
    if md5 is None:
        return {}
    commit = tags.get(DATA)
    known = commit is not None and history.is_reachable(commit) and holds_dataset(history, commit, md5)
    # one that holds it and did not bring it was the oldest of a shallow clone
    if not known or not history.is_permanent(str(commit)) or not _brought(history, str(commit), md5):
        held = history.commits_holding(md5)
        # where an older one, which is not here, may have brought it, what is written down stays
        commit = tags.get(DATA) if held and history.data_commit(md5) is None else history.data_commit(md5)
    version = _named(history, md5, tags.get("data_version"))
    return {**({DATA: commit} if commit else {}), "data_version": version}


@cache
def _brought(history: History, commit: str, md5: str) -> bool:
    """Whether no parent of the commit holds the dataset version; at the edge of a shallow clone it is believed."""
    _, *parents = history.git.must("rev-list", "--parents", "--max-count=1", commit)[0].split()
    return not any(holds_dataset(history, parent, md5) for parent in parents)


def _named(history: History, md5: str, current: str | None) -> str:
    """The Git tags of the data on this dataset version; empty if it has none, or none any more.

    Tags can be moved, and this clone may have the old ones: before something is changed the remote is asked.
    """
    local = history.data_version(md5)
    if local == current or history.remote.name is None:
        return local or ""
    names = {name for value in (local, current) if value for name in value.split(", ")}
    try:
        return join_versions(name for name in names if _is_on(history, md5, name, current)) or ""
    except LineageError:  # the remote does not answer
        return current or local or ""


def _is_on(history: History, md5: str, name: str, current: str | None) -> bool:
    """Whether a Git tag of the data is on this dataset version, where it is pushed to or else here."""
    tag = f"{DATA_TAGS}{name}"
    commit = history.remote.commit_of_tag(tag) or history.data_tags.get(tag)
    if commit is not None and history.resolve(commit) is None:  # not fetched: it stays as it is
        return name in (current or "").split(", ")
    return commit is not None and history.at(commit).recorded.made(Role.DATASET) == md5


def _result_by_record(evidence: Evidence, record: str, linked: str | None) -> tuple[str | None, str | None]:
    """Result commit and model identity of the training that wrote a run.json of this hash."""
    history = evidence.history
    for commit in history.commits_holding(record, path=DVC_LOCK):
        recorded = history.at(commit).recorded
        if recorded.made(Role.RUN) == record and (identity := recorded.identity):
            found = best_result_commit(history, identity, record, partial(_speaks_of, identity))
            found = None if found is None or found in history.boundary else completed(history, found)
            return _whole(history, _kept(history, linked, identity, found), found), identity
    return None, None


def _speaks_of(identity: str, document: dict[str, Any]) -> bool:
    return bool(document["model"].get("identity") == identity)


def _kept(history: History, linked: str | None, identity: str, found: str | None) -> str | None:
    """The commit that is written down, if it is still good; else the one that was found."""
    if linked is None or not history.is_reachable(linked) or not holds_model(history.at(linked).lock, identity):
        return found
    # experiments' refs go when these are removed: a commit on a branch is better
    better = found is not None and history.is_permanent(found) and not history.is_permanent(linked)
    return found if better else linked


def _whole(history: History, kept: str | None, found: str | None) -> str | None:
    """`found` in place of `kept` where that lacks parts of the run and `found` does not."""
    if kept is None or found is None or kept == found or not proves(history.at(found)):
        return kept
    return kept if proves(history.at(kept)) else found


@dataclass(frozen=True)
class Change:
    """The tags to set and to delete, and what that means."""

    put: dict[str, str]
    drop: list[str]
    state: str  # "linked", "pending", "lost", or "elsewhere": its commit is not in this clone


def _change(history: History, tags: dict[str, str], wanted: dict[str, Any], *, complete: bool) -> Change:
    linked = tags.get(RESULT)
    if not complete and linked and history.resolve(linked) is None:
        return Change({}, [], "elsewhere")  # perhaps not fetched yet: from here nobody knows that it is gone
    lost = not complete and linked is not None
    wanted = {**wanted, "lineage_status": "linked" if complete else "pending", **({LOST: linked} if lost else {})}
    put = {key: value for key, value in wanted.items() if value and tags.get(key) != value}
    stale = [RESULT] if lost else [LOST] if complete else []
    stale += [key for key, value in wanted.items() if value == ""]  # a name that is no longer there
    return Change(put, [key for key in stale if key in tags], "lost" if lost else "linked" if complete else "pending")


def _count(done: Linked, name: str, change: Change) -> None:
    if change.state == "linked":
        if change.put:
            done.linked.append(name)
    else:
        {"lost": done.lost, "pending": done.pending, "elsewhere": done.elsewhere}[change.state].append(name)
