"""Gives a dataset version a name that people remember: an annotated Git tag `data/NAME` on its data commit."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import LineageError
from ..lineage.exposed import require_hidden
from ..lineage.facts import DATA_TAGS, made_dataset
from ..lineage.remote import Remote
from ..pipeline.dvcfile import DVC_LOCK, PARAMS_FILE, Stage, locked_hash, read_lock
from ..settings import load_settings
from .case import Evidence
from .data_push import Pushed, make_folder, recorded_outs
from .history import History


@dataclass(kw_only=True)
class Tagged(Pushed):
    """What was done. `lacking` holds the outputs of the commit that are nowhere: `dvc pull` lacks them."""

    tag: str
    commit: str
    dataset: str
    is_new: bool
    git_remote: str | None = None


def tag_dataset(evidence: Evidence, name: str, message: str | None) -> Tagged:
    """Tags the data commit of the dataset version that HEAD records, and pushes objects, then the tag.

    Done again for the same dataset version it only pushes what is missing. Raises LineageError, and says what was done
    already, if it cannot be done to the end.
    """
    history, tag = evidence.history, f"{DATA_TAGS}{name.removeprefix(DATA_TAGS)}"
    if history.git.run("check-ref-format", f"refs/tags/{tag}") is None:
        raise LineageError(f"{name!r} is no name for a Git tag. Something like v1.0 or 2026-03 is.")
    dataset = _dataset_of_head(evidence)
    commit = _commit_to_tag(evidence, tag, dataset)
    done = Tagged(tag=tag, commit=commit, dataset=dataset, is_new=tag not in history.data_tags)
    try:
        _push_objects(evidence, done)
    except LineageError as error:
        raise LineageError(f"{error} Nothing was tagged.") from error
    if done.is_new:
        said = message or f"Dataset version {dataset}"
        if reason := history.git.refusal("tag", "--annotate", "--message", said, "--", tag, commit):
            raise LineageError(f"Git did not make {tag}: {reason}")
    _push_tag(history, done)
    return done


def _dataset_of_head(evidence: Evidence) -> str:
    """The dataset version that dvc.lock records, here and in HEAD alike."""
    here = made_dataset(read_lock(evidence.root))
    committed = made_dataset(evidence.history.lock("HEAD"))
    if here is None:
        raise LineageError(f"{DVC_LOCK} records no dataset version. `dvc repro preprocess` makes one; then commit it.")
    if here != committed:
        raise LineageError(
            f"the dataset version {here} in {DVC_LOCK} is not committed. `git add -A && git commit`, then this again."
        )
    if other := _of_another(evidence.history, "HEAD"):
        raise LineageError(
            f"the last commit holds the dataset version {here}, but another state of {other} than it was made from. "
            "`git add -A && git commit`, then this again."
        )
    if evidence.erasures.of_dataset(here):
        raise LineageError(f"records of the dataset version {here} were erased on purpose: it cannot be had whole.")
    return here


def _commit_to_tag(evidence: Evidence, tag: str, dataset: str) -> str:
    """Where the tag is or goes. Raises LineageError if it is taken, here or where it would be pushed to."""
    history = evidence.history
    tagged = history.data_tags.get(tag)
    if tagged is not None:
        other = made_dataset(history.lock(tagged))
        if other != dataset:
            raise LineageError(
                f"{tag} is taken: it names {f'the dataset version {other}' if other else 'no dataset version'} "
                f"(commit {tagged[:12]}), not {dataset}. Choose another name."
            )
        return tagged
    if history.is_shallow:
        history.require_complete()
    if history.remote and history.tag_on_remote(tag):
        raise LineageError(f"{tag} is taken on {history.remote}. `git fetch {history.remote} --tags`, then this again.")
    found = (commit for commit in history.commits_holding(dataset) if made_dataset(history.lock(commit)) == dataset)
    return next((commit for commit in found if not _of_another(history, commit)), None) or str(history.resolve("HEAD"))


def _of_another(history: History, commit: str) -> str | None:
    """What `dvc add` keeps in the commit in another state than its dataset was made from; None if there is no such."""
    added, lock = history.added(commit), history.lock(commit)
    for stage in _made_by(history, commit):
        for path in stage.deps:
            if path in added and added[path] != locked_hash(lock.get(stage.name), "deps", path):
                return path
    return None


def _made_by(history: History, commit: str) -> list[Stage]:
    """The stages that make a dataset version."""
    pipeline = history.pipeline(commit)
    preprocess = pipeline.stage("preprocess")
    return [preprocess, *pipeline.upstream(preprocess)]


def _push_objects(evidence: Evidence, done: Tagged) -> None:
    """Sees to it that the DVC remote has what `dvc pull` brings at the commit.

    Raises LineageError if the dataset, or what it was made from, cannot be had whole.
    """
    remote = Remote.of(evidence.root)
    if remote is None:
        return
    require_hidden(evidence.root, load_settings(evidence.root / PARAMS_FILE))
    make_folder(remote)
    history = evidence.history
    added = history.added(done.commit)
    needed = {*added, *(path for stage in _made_by(history, done.commit) for path in stage.outs)}
    for path, md5 in (recorded_outs(history.pipeline(done.commit), history.lock(done.commit)) | added).items():
        try:
            done.send(evidence, path, md5)
        except LineageError as error:
            if path in needed:
                raise LineageError(f"{path} is not in the DVC remote {remote.url}: {error}") from error
            done.lacking.append(path)
    done.dvc_remote = remote.url


def _push_tag(history: History, done: Tagged) -> None:
    if history.remote is None:
        return
    if reason := history.git.refusal("push", "--quiet", history.remote, f"refs/tags/{done.tag}"):
        where = f" Its objects are in the DVC remote {done.dvc_remote}." if done.dvc_remote else ""
        raise LineageError(
            f"{done.tag} is made here, on {done.commit[:12]}, but {history.remote} did not take it ({reason}).{where} "
            "Run this again to push it."
        )
    done.git_remote = history.remote
