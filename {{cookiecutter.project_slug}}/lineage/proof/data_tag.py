"""Gives a dataset version a name that people remember: an annotated Git tag `data/NAME` on its data commit."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.errors import LineageError
from ..contract import Role
from ..dvc.dvcfile import DVC_LOCK, PARAMS_FILE, Stage, locked_hash
from ..dvc.recorded import Recorded
from ..dvc.remote import Remote
from ..git.history import DATA_TAGS, History
from ..git.tree import Tree
from ..run.exposed import require_hidden
from ..settings import load_settings
from .case import Evidence
from .data_push import Pushed, make_folder, recorded_outs


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
    recorded = Recorded.here(evidence.root)
    here, committed = recorded.made(Role.DATASET), evidence.history.at("HEAD").recorded.made(Role.DATASET)
    if here is None:
        maker = recorded.pipeline.maker(Role.DATASET)
        make = f"`dvc repro {maker.name}` makes one; then commit it" if maker else "dvc.yaml gives no stage that role"
        raise LineageError(f"{DVC_LOCK} records no dataset version. {make}.")
    if here != committed:
        raise LineageError(
            f"the dataset version {here} in {DVC_LOCK} is not committed. `git add -A && git commit`, then this again."
        )
    if other := _of_another(evidence.history.at("HEAD")):
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
        other = history.at(tagged).recorded.made(Role.DATASET)
        if other != dataset:
            raise LineageError(
                f"{tag} is taken: it names {f'the dataset version {other}' if other else 'no dataset version'} "
                f"(commit {tagged[:12]}), not {dataset}. Choose another name."
            )
        return tagged
    if history.is_shallow:
        history.require_complete()
    remote = history.remote
    if remote.name and remote.has_tag(tag):
        raise LineageError(f"{tag} is taken on {remote.name}. `git fetch {remote.name} --tags`, then this again.")
    holding = history.commits_holding(dataset)
    made = (commit for commit in holding if history.at(commit).recorded.made(Role.DATASET) == dataset)
    whole = (commit for commit in made if not _of_another(history.at(commit)))
    return next(whole, None) or str(history.resolve("HEAD"))


def _of_another(tree: Tree) -> str | None:
    """What `dvc add` keeps in a commit in another state than its dataset was made from; None if there is no such."""
    added, lock = tree.added, tree.lock
    for stage in _made_by(tree):
        for path in stage.deps:
            if path in added and added[path] != locked_hash(lock.get(stage.name), "deps", path):
                return path
    return None


def _made_by(tree: Tree) -> list[Stage]:
    """The stages that make a dataset version."""
    maker = tree.pipeline.maker(Role.DATASET)
    return [maker, *tree.pipeline.upstream(maker)] if maker else []


def _push_objects(evidence: Evidence, done: Tagged) -> None:
    """Sees to it that the DVC remote has what `dvc pull` brings at the commit.

    Raises LineageError if the dataset, or what it was made from, cannot be had whole.
    """
    remote = Remote.of(evidence.root)
    if remote is None:
        return
    require_hidden(evidence.root, load_settings(evidence.root / PARAMS_FILE))
    make_folder(remote)
    tree = evidence.history.at(done.commit)
    needed = {*tree.added, *(path for stage in _made_by(tree) for path in stage.outs)}
    for path, md5 in (recorded_outs(tree.pipeline, tree.lock) | tree.added).items():
        try:
            done.send(evidence, path, md5)
        except LineageError as error:
            if path in needed:
                raise LineageError(f"{path} is not in the DVC remote {remote.url}: {error}") from error
            done.lacking.append(path)
    done.dvc_remote = remote.url


def _push_tag(history: History, done: Tagged) -> None:
    remote = history.remote.name
    if remote is None:
        return
    if reason := history.git.refusal("push", "--quiet", remote, f"refs/tags/{done.tag}"):
        where = f" Its objects are in the DVC remote {done.dvc_remote}." if done.dvc_remote else ""
        raise LineageError(
            f"{done.tag} is made here, on {done.commit[:12]}, but {remote} did not take it ({reason}).{where} "
            "Run this again to push it."
        )
    done.git_remote = remote
