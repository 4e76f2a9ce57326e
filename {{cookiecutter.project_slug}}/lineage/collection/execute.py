"""Deletes what was planned and is still needed by nothing: first the record in Git, then listings, then the rest.

Whatever it is killed at, what is gone is in the record, and what is left goes with the next `lineage gc --execute`. A
folder's listing goes before its files: nobody then takes a folder for whole that is not.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..base.errors import LineageError
from ..base.pages import write_whole
from ..dvc.remote import Remote
from ..erasure.copies import Copy, delete
from ..git.repository import Repository
from ..proof.case import Evidence
from ..proof.collections import Document, parse
from .plan import NOTE, Going, Plan, make


@dataclass
class Done:
    """What became of a plan."""

    deleted: list[Going] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # why something could not be deleted
    needed_again: int = 0  # planned, and needed by now, or too new, or gone
    record: str = ""  # in Git
    unknown: list[str] = field(default_factory=list)  # why nothing was deleted

    @property
    def is_whole(self) -> bool:
        """Whether all was deleted that was planned and is still needed by nothing."""
        return not self.left and not self.unknown


def execute(evidence: Evidence, planned: Plan, reason: str) -> Done:
    """Does what was planned, as far as it still holds. Nothing is deleted where it is not known what is needed.

    Raises LineageError, before anything is deleted, if DVC works here or the record cannot be committed.
    """
    with _dvc_waits(evidence):
        fresh = make(evidence, planned.wanted)
        there = {(each.place, each.md5) for each in planned.going}
        going = [each for each in fresh.going if (each.place, each.md5) in there]
        done = Done(needed_again=len(there) - len(going))
        if not fresh.is_known:
            done.unknown = [*fresh.unknown, *([] if fresh.wanted.accept_lost else fresh.lost)]
        if not fresh.is_known or not going:
            return done
        done.record = _record(evidence, planned, fresh, going, reason)
        for is_listing in (True, False):
            _delete(evidence, [each for each in going if each.md5.endswith(".dir") is is_listing], done)
        if any(each.place == "remote" for each in done.deleted):
            _forget_remote(evidence)
    if not done.left:
        (evidence.main / NOTE).unlink(missing_ok=True)
    return done


def _delete(evidence: Evidence, going: list[Going], done: Done) -> None:
    """Deletes some objects, of several at the same time."""
    by_path = {each.path: each for each in going}

    def one(path: str) -> str:
        each = by_path[path]
        try:
            delete(evidence, Copy("file" if each.place == "cache" else "remote", path, each.named or each.md5))
        except LineageError as error:
            return str(error)
        return ""

    if any(each.place == "remote" for each in going):
        said = evidence.places.for_all(by_path, one)
    else:
        said = {path: one(path) for path in by_path}
    done.left += [error for error in said.values() if error]
    done.deleted += [by_path[path] for path, error in said.items() if not error]


def _record(evidence: Evidence, planned: Plan, fresh: Plan, going: list[Going], reason: str) -> str:
    """Commits what is about to go, and what cannot be proved without it. Returns the path in Git."""
    git = Repository(evidence.root)
    document = Document(
        id=f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}",
        moment=datetime.now(UTC).replace(microsecond=0),
        by=git.identity() or "unknown",
        reason=reason,
        places=planned.places,
        ends=fresh.ends,
        objects={each.md5: each.named for each in sorted(going, key=lambda each: each.md5)},
    )
    text = json.dumps(document.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False) + "\n"
    parse(text.encode(), document.path)  # a reason may be too long
    path = evidence.root / document.path
    path.parent.mkdir(exist_ok=True)
    write_whole(path, text)
    git.must("add", "--force", "--", document.path)
    message = f"lineage gc {document.id}"
    git.must("commit", "--quiet", "--no-verify", "--message", message, "--only", "--", document.path)
    return document.path


@contextmanager
def _dvc_waits(evidence: Evidence) -> Iterator[None]:
    """No command of DVC that changes something begins here meanwhile. Raises LineageError if one goes on."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with ExitStack() as held:
        for root in dict.fromkeys((evidence.main, evidence.root)):
            try:
                held.enter_context(Repo(str(root)).lock)
            except DvcException as error:
                reason = str(error).splitlines()[0]
                raise LineageError(f"DVC works in {root}: {reason} Wait for its end, then ask again.") from error
        yield


def _forget_remote(evidence: Evidence) -> None:
    """DVC notes which folders it has seen in the remote, and would not push them again."""
    from dvc.repo import Repo
    from dvc_data.hashfile.db import get_index

    if Remote.of(evidence.root) is not None:
        get_index(Repo(str(evidence.root)).cloud.get_remote_odb()).clear()
