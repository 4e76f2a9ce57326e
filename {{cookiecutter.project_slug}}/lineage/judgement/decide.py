"""Carries a decision out, so that a kill between any two steps leaves what the next command finishes or takes back.

1. the file is written and committed: that alone decides (killed before: the file lies in no commit, and is taken away)
2. tags of the version, which name the decision
3. the alias
4. tags of the registered model: the mark that all of it is done (killed before: what is missing is done)

The alias is looked at right before it is moved and right after. Where somebody else has moved it meanwhile, from
another clone, the commit is taken back. One lock keeps the commands of one clone, with its worktrees, apart.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..base.errors import DamageError, PromotionError, TrackerError
from ..base.pages import write_whole
from ..git.anchor import main_root
from ..git.history import History
from ..git.repository import Repository
from ..proof.decision import FOLDER, Document, parse, sha256_of
from ..proof.decisions import Decision, Line, decision_tags, left_behind
from ..tracking.store import Store

UNDER_WAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")  # Git commits no single file meanwhile
ASIDE = Path(".dvc") / "tmp" / "promotions"  # where files go that a killed command left in no commit


class OvertakenError(PromotionError):
    """Somebody else moved the alias while this was decided."""


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Raises PromotionError if another command of this clone decides at this moment."""
    folder = main_root(root) / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / "promotion.lock"), folder / "promotion.pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = holder.read_text(encoding="utf-8") if holder.exists() else "unknown"
        raise PromotionError(f"another promotion is under way here, process {pid}. Wait until it ends.") from None
    try:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def require_quiet(git: Repository) -> None:
    """Raises PromotionError while a merge or the like is going on."""
    for name in UNDER_WAY:
        if git.run("rev-parse", "--verify", "--quiet", name) is not None:
            raise PromotionError(f"{name} is there: a merge or the like is going on. End it (`git status`) first.")


def tidy(root: Path, history: History) -> list[str]:
    """Moves files of decisions that are in no commit out of the way. Returns their paths."""
    found = left_behind(history)
    for path in found:
        target = main_root(root) / ASIDE / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # staged, and gone since
            (root / path).replace(target)
        _remove(root, path)
    return found


def commit(root: Path, document: Document) -> Decision:
    """Writes a decision and commits it, nothing else with it, as `git commit` does: with hooks and signatures.

    Raises PromotionError, and leaves nothing, if Git or a hook refuses, or a hook changed what is committed.
    """
    git, path, text = Repository(root), document.path, document.to_json()
    before, file = git.head(), root / path
    if file.exists():
        raise PromotionError(f"{path} is there already.")
    try:
        parse(text.encode(), path)
    except DamageError as error:  # or nobody could decide anything after it
        raise PromotionError(f"{path} could not be read again: {error}. Nothing was decided.") from None
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_whole(file, text)
        command = ("commit", "--quiet", "--only", "-m", message_of(document), "--", path)
        if refused := git.refusal("add", "--", path) or git.refusal(*command):
            raise PromotionError(f"Git does not commit {path}: {refused}. Nothing was decided.")
        made = History(root)
        changed = git.must("diff-tree", "--no-commit-id", "--name-only", "-r", "-z", "HEAD")[0].strip("\0").split("\0")
        if made.at("HEAD").read(path) != text.encode() or changed != [f"{made.prefix}{path}"]:
            raise PromotionError(
                f"a hook of Git changed the commit of {path}: leave {FOLDER}/ out of it. Nothing was decided."
            )
    except BaseException:
        take_back(root, path, before)
        raise
    return Decision(document, path, sha256_of(text), str(git.head()), is_here=True)


def message_of(document: Document) -> str:
    """The message of the commit."""
    name, version = f"models:/{document.model}", document.version
    if version is None:
        head = f"Take the alias {document.alias} from {name}/{document.before.number if document.before else '?'}"
    else:
        verb = "Promote" if document.kind == "promote" else "Go back to"
        head = f"{verb} {name}/{version.number} {'to' if document.kind == 'promote' else 'as'} {document.alias}"
    lines = [f"{gate.name}: {gate.state}" for gate in document.gates]
    lines += [f"accepted ({', '.join(each.gates)}): {each.reason}" for each in document.accepted]
    lines += [f"reason: {document.reason}"] if document.reason else []
    return "\n".join([head, "", *lines])


def take_back(root: Path, path: str, before: str | None) -> None:
    """Undoes the commit of a decision, if it was made on top of `before` and is HEAD still; and removes its file."""
    git = Repository(root)
    head = git.head()
    if head is not None and head != before and before is not None and git.lines("rev-parse", f"{head}^") == [before]:
        git.refusal("update-ref", "-m", f"{path} was overtaken", "HEAD", before, head)
    _remove(root, path)


def carry_out(store: Store, decision: Decision, *, expected: set[str | None]) -> None:
    """Writes into MLflow what was decided; what is there already stays.

    `expected`: the numbers that the alias may have before (None: no version has it). Raises OvertakenError, with the
    alias left alone, if it has another one, or gets one meanwhile.
    """
    document, tags = decision.document, decision_tags(decision.document.alias, decision)
    name, alias, version = document.model, document.alias, document.version
    number = version.number if version else None
    try:
        if version is not None:
            _tag_version(store, name, version.number, tags)
        pointed = _pointed(store, name, alias)
        if pointed not in {*expected, number}:
            raise OvertakenError(f"models:/{name}@{alias} was moved to version {pointed} meanwhile.")
        if pointed != number:
            with store.asked(f"move the alias {alias} of {name}"):
                if number is None:
                    store.client.delete_registered_model_alias(name, alias)
                else:
                    store.client.set_registered_model_alias(name, alias, number)
        if (pointed := _pointed(store, name, alias)) != number:
            raise OvertakenError(f"models:/{name}@{alias} was moved to version {pointed} at the same time.")
        with store.asked(f"mark the decision about {name}"):
            for tag, value in tags.items():
                store.client.set_registered_model_tag(name, tag, value)
    except TrackerError as error:
        raise TrackerError(
            f"{error} {decision.path} is committed and not carried out.",
            fix=f"lineage promote --as-decided --to {alias} --model {shlex.quote(name)}",
        ) from error


def tag_as_before(store: Store, line: Line, number: str) -> None:
    """Gives a version the tags again that it had before a decision that was taken back."""
    alias, given = line.alias, [each for each in line.decisions if each.version and each.version.number == number]
    if given:
        _tag_version(store, line.model, number, decision_tags(alias, given[-1]))
        return
    with store.asked(f"tag {line.model} {number}"):
        for tag in store.client.get_model_version(line.model, number).tags:
            if tag in (f"{alias}_decision", f"{alias}_decision_sha256"):
                store.client.delete_model_version_tag(line.model, number, tag)


def _tag_version(store: Store, name: str, number: str, tags: dict[str, str]) -> None:
    with store.asked(f"tag {name} {number}"):
        for tag, value in tags.items():
            store.client.set_model_version_tag(name, number, tag, value)


def _pointed(store: Store, name: str, alias: str) -> str | None:
    return store.pointers(name)[0].get(alias)


def _remove(root: Path, path: str) -> None:
    """Takes a file out of the index and the folder, and folders that are empty then."""
    Repository(root).run("rm", "--cached", "--quiet", "--force", "--ignore-unmatch", "--", path)
    (root / path).unlink(missing_ok=True)
    for folder in Path(path).parents[:-1]:
        with suppress(OSError):  # others are in it
            (root / folder).rmdir()
