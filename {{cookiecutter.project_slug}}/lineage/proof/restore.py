"""Code, data and model of a commit, or the bytes of a hash alone, in a folder of their own. The workspace stays.

Objects come from the cache where their bytes are right there, else from the DVC remote, and the hash of every file and
folder is recomputed after it was written. What is not whole is not left under the name that was asked for.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..base.errors import DamageError, LineageError
from ..contract import Role
from ..dvc.dvcfile import kept_outs
from ..dvc.hashes import hash_tree
from ..dvc.objects import Objects
from ..git.repository import Repository, git_environment
from .case import Evidence
from .rows import batches
from .targets import HEX, resolve


@dataclass(frozen=True)
class Restored:
    """What was restored: the commit if it is known, and how many files were written from how many objects."""

    target: Path
    commit: str | None
    hashes: dict[str, str]  # by path; each recomputed


def require_empty(target: Path) -> None:
    """Raises LineageError if there is something at `target` already."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise LineageError(f"{target} is there already. Name a folder that is empty or does not exist.")


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its name when all went well, and vanishes otherwise.

    Raises LineageError if there is something at `target` already.
    """
    require_empty(target)
    partial = target.absolute().with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if target.exists():
            target.rmdir()
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def restore(evidence: Evidence, asked: str, target: Path, *, data_only: bool = False) -> Restored:
    """Restores what `asked` names into `target`. Raises LineageError if it cannot be had whole."""
    commit = commit_of(evidence, asked)
    with whole(target) as folder:
        if commit is None:
            hashes = restore_hash(evidence.objects, object_of(evidence, asked), folder)
        else:
            if not data_only:
                restore_code(evidence, commit, folder)
            hashes = restore_outputs(evidence, commit, folder, data_only=data_only)
    return Restored(target, commit, hashes)


def export_images(evidence: Evidence, asked: str, target: Path) -> Restored:
    """The images of a dataset version as files: SPLIT/LABEL/RECORD_ID.png. To look at: it is no dataset version."""
    commit = commit_of(evidence, asked)
    md5 = object_of(evidence, asked) if commit is None else evidence.history.at(commit).recorded.made(Role.DATASET)
    if md5 is None:
        raise LineageError(f"dvc.lock at {commit} records no dataset version.")
    if not md5.endswith(".dir") or not any(path.startswith("shards/") for path in evidence.objects.listing(md5)):
        raise LineageError(f"{md5} is no dataset version: it has no shards.")
    with whole(target) as folder:
        scratch = folder / ".objects"
        scratch.mkdir()
        for path, name in evidence.objects.listing(md5).items():
            if not path.startswith("shards/"):
                continue
            for batch in batches(evidence.objects.verified(name, scratch)):
                for row in batch.to_pylist():
                    # an id may hold what a file name may not
                    label, record = (quote(row[key], safe="") for key in ("label", "record_id"))
                    image = folder / row["split"] / label / f"{record}.png"
                    image.parent.mkdir(parents=True, exist_ok=True)
                    image.write_bytes(row["image"])
        shutil.rmtree(scratch)
    return Restored(target, commit, {"dataset": md5})


def commit_of(evidence: Evidence, asked: str) -> str | None:
    """The commit to restore; None if `asked` is a hash of data, for which no commit is needed."""
    if HEX.fullmatch(asked) and evidence.history.resolve(asked) is None:
        try:
            target = resolve(evidence, asked)
        except LineageError:  # no commit and no version knows it; the objects may
            return None
        if target.kind == "hash" and not any(case.identity == asked for case in target.cases):
            return None
    else:
        target = resolve(evidence, asked)
    if target.kind == "commit":
        return target.commit
    commits = {case.commit for case in target.cases}
    if len(commits) != 1:
        raise LineageError(f"{asked} leads to {len(commits)} commits. Name a version, a run or one of: {commits}.")
    return commits.pop()


def object_of(evidence: Evidence, asked: str) -> str:
    """The name of the object that a hash stands for: DVC names folders with `.dir`, and nothing by SHA-256."""
    if len(asked) == 64:
        for case in resolve(evidence, asked).cases:
            for section in (case.document[name] for name in ("dataset", "raw", "model")):
                for part in (section, *section.get("files", [])):
                    if part.get("sha256") == asked:
                        return str(part["md5"])
        raise LineageError(f"no model's lineage.json says which object has the SHA-256 {asked}.")
    if not asked.endswith(".dir") and evidence.objects.cached(asked) is None:
        folder = f"{asked}.dir"
        if evidence.objects.cached(folder) or evidence.objects.held([folder])[folder].size is not None:
            return folder
    return asked


def restore_code(evidence: Evidence, commit: str, folder: Path) -> None:
    """A Git repository of its own at `commit`, with the whole history that leads to it.

    In a larger repository, `folder` becomes a clone of all of it: the project lies where it lies there.
    """
    git, history = Repository(folder), evidence.history
    top = history.git.must("rev-parse", "--show-toplevel")[0]
    git.must("clone", "--quiet", "--shared", "--no-checkout", top, ".")
    git.must("checkout", "--quiet", "--detach", commit)
    # an own copy of the objects: the first repository may be deleted, or forget the commit
    git.must("repack", "-a", "-d", "--quiet")
    # Git shares nothing with a shallow clone
    (folder / ".git" / "objects" / "info" / "alternates").unlink(missing_ok=True)
    origin = history.git.run("remote", "get-url", history.remote.name) if history.remote.name else None
    git.must(*(("remote", "set-url", "origin", origin) if origin else ("remote", "remove", "origin")))
    if changed := git.must("status", "--porcelain"):
        raise DamageError(f"the restored code differs from {commit[:12]}: {changed[0]}.")


def restore_outputs(evidence: Evidence, commit: str, folder: Path, *, data_only: bool) -> dict[str, str]:
    """Everything that DVC keeps for `commit`, put where it belongs. Returns the hash of each, recomputed."""
    tree = evidence.history.at(commit)
    pipeline, lock = tree.pipeline, tree.lock
    training = pipeline.maker(Role.MODEL)
    if data_only and training is None:
        raise LineageError(f"dvc.yaml at {commit[:12]} gives no stage the role {Role.MODEL}.")
    chosen = pipeline.upstream(training) if data_only and training else list(pipeline.stages.values())
    wanted = {out["path"]: out["md5"] for stage in chosen for out in kept_outs(stage, lock)}
    wanted |= tree.added
    project = folder if data_only else folder / evidence.history.prefix
    # with a cache of its own, to dvc the restored project is as after `dvc pull`
    cache = None if data_only else project / ".dvc" / "cache"
    evidence.objects.fetch_all({project / path: md5 for path, md5 in wanted.items()}, cache)
    return {path: _checked(project / path, md5) for path, md5 in sorted(wanted.items())}


def restore_added(evidence: Evidence, commit: str, project: Path) -> None:
    """What `dvc add` and `dvc import-url` keep for `commit`, put where it belongs: no stage would make it."""
    wanted = evidence.history.at(commit).added
    evidence.objects.fetch_all({project / path: md5 for path, md5 in wanted.items()})
    for path, md5 in wanted.items():
        _checked(project / path, md5)


def restore_hash(objects: Objects, md5: str, folder: Path) -> dict[str, str]:
    """A folder's files straight into `folder`, or a file under its hash; no commit is needed."""
    if md5.endswith(".dir"):
        objects.fetch_all({folder: md5})
        return {".": _checked(folder, md5)}
    objects.fetch(md5, folder / md5)
    return {md5: md5}


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment without what names another repository, project or Python environment."""
    foreign = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    environment = git_environment()
    kept = {key: value for key, value in environment.items() if key not in foreign and not key.startswith("DVC_")}
    return {**kept, **variables}


def run(command: list[str], folder: Path, log: Path, environment: dict[str, str]) -> int:
    """Runs a command with its output in `log`. Returns its exit status."""
    with log.open("ab") as output:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, check=False)
    return done.returncode


def _checked(path: Path, md5: str) -> str:
    found = hash_tree(path).md5
    if found != md5:
        raise DamageError(f"{path} was restored as {found}, it must be {md5}.")
    return found
