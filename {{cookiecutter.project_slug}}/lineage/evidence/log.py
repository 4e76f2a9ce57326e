"""The transparency log: a line for everything that was registered, decided, erased, attested and certified.

`log/entries.jsonl` is in Git and only ever grows, on one branch. Lines name things by hash: no reason, no name and no
id of a person is in them, and no time, which would be a claim. Over the lines there is a Merkle tree (merkle_log.py):
whoever keeps a head finds out later whether anything before it was changed, left out or put in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..base import strict_json
from ..base.errors import DamageError, LineageError, ProjectError
from ..git.changes import EVERYWHERE, changes_below
from ..git.states import states_in
from ..git.tree import LINEAGE
from ..proof.attestations import NAMES
from ..proof.case import Evidence
from ..proof.decision import FOLDER as PROMOTIONS
from ..proof.decision import NAME as DECISION
from ..proof.erased import FOLDER as ERASURES
from ..signing.trust import FOLDER as ATTESTATIONS
from .merkle_log import Head, consistency, head_of

PATH = "log/entries.jsonl"
KINDS = ("registered", "decided", "erased", "attested", "certified")
KEPT = ("HEAD", "--tags")  # a branch may go again, and no line may
NOWHERE = "`git fetch --all --tags`, then ask again; if its branch was deleted or rewritten, nothing shows it any more"
LIMIT = 64 * 2**20  # bytes
HASH = re.compile(r"[0-9a-f]{64}")
FILES = "|".join(map(re.escape, NAMES))
ADDED = {
    "decided": DECISION,
    "erased": re.compile(rf"{ERASURES}/[^/]+/tombstone\.json"),
    "attested": re.compile(rf"{ATTESTATIONS}/.+/\d{{4,}}/({FILES})"),
}


@dataclass
class Compared:
    """The log against what Git holds."""

    head: Head
    faults: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # about the logs of commits that this branch does not come from
    missing: list[dict[str, str]] = field(default_factory=list)  # what Git holds and the log does not, in its order


def lines_of(data: bytes) -> list[bytes]:
    """The entries of a log, each without its line break. Raises DamageError if one of them is none."""
    if len(data) > LIMIT:
        raise DamageError(f"{PATH} is larger than {LIMIT} bytes")
    if data and not data.endswith(b"\n"):
        raise DamageError(f"the last line of {PATH} is not whole")
    lines = data.split(b"\n")[:-1]
    for number, line in enumerate(lines, start=1):
        _entry(line, number)
    return lines


def _entry(line: bytes, number: int) -> dict[str, str]:
    try:
        entry = strict_json.parse(line)
        if text_of(entry) != line:
            raise ValueError("it is not written in the one way that an entry is")
        if entry.get("kind") not in KINDS or not HASH.fullmatch(str(entry.get("sha256"))):
            raise ValueError("it has no kind or no hash")
    except (ValueError, TypeError, AttributeError) as error:
        raise DamageError(f"line {number} of {PATH} is no entry: {str(error).splitlines()[0][:200]}") from None
    return {str(key): str(value) for key, value in entry.items()}


def text_of(entry: dict[str, Any]) -> bytes:
    """The one way that an entry is written."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def read_log(root: Path) -> list[bytes]:
    """The entries of the log that lies here; none if there is no log yet."""
    path = root / PATH
    return lines_of(path.read_bytes()) if path.exists() else []


def log_at(evidence: Evidence, commit: str) -> list[bytes]:
    """The entries of the log at a commit."""
    return lines_of(evidence.history.at(commit).read(PATH) or b"")


def held(evidence: Evidence, where: tuple[str, ...] = KEPT) -> list[dict[str, str]]:
    """What these refs hold that belongs into the log, oldest first."""
    found = [*_registered(evidence, where), *_added(evidence, where)]
    return list({text_of(entry): entry for entry in found}.values())


def compare(evidence: Evidence) -> Compared:
    """The log here: does it begin with that of every commit, is all in it that HEAD and tags hold, and nothing else?"""
    lines = read_log(evidence.root)
    result = Compared(head_of(lines))
    brought = _compare_commits(evidence, lines, result)
    known = {*lines}
    if len(known) < len(lines):
        result.faults.append("an entry is in the log twice")
    there = {text_of(entry): entry for entry in (*held(evidence), *brought)}
    result.missing = [entry for text, entry in there.items() if text not in known]
    anywhere = {text_of(entry) for entry in held(evidence, EVERYWHERE)} | {*there}
    for number, line in enumerate(lines, start=1):
        if line not in anywhere and _entry(line, number)["kind"] != "certified":
            result.unknown.append(
                f"line {number} is about something that no branch or tag here holds: {line.decode()[:150]}. {NOWHERE}"
            )
    return result


def _compare_commits(evidence: Evidence, lines: list[bytes], result: Compared) -> list[dict[str, str]]:
    """Whether the log begins with that of every commit. Returns what an ancestor had in it, and this has not.

    Every ancestor of HEAD counts: which parent of a merge is the first one, whoever merges decides. So of two logs that
    a merge brought together nobody can say which is the rewritten one, as long as nothing is lost.
    """
    history, known, lost = evidence.history, {*lines}, dict[bytes, None]()
    listed = history.git.lines("log", "--full-history", "--format=%H %P", "HEAD", "--", PATH)
    before = {commit: parents for commit, *parents in map(str.split, listed)}
    other = []
    for commit in reversed(list(dict.fromkeys([*history.commits_changing(PATH), *before]))):
        try:
            earlier = log_at(evidence, commit)
        except DamageError as error:
            (result.faults if commit in before else result.notes).append(f"at commit {commit[:12]}, {error}")
            continue
        if not _begins(lines, earlier):
            other.append((commit, earlier))
    rewritten = bool(other) and any(_is_rewriting(evidence, commit, parents) for commit, parents in before.items())
    for commit, earlier in other:
        said = f"the log of commit {commit[:12]} ({head_of(earlier)}) is not the beginning of this one"
        gone = [each for each in earlier if each not in known]
        if commit not in before:
            result.notes.append(f"{said}, and HEAD does not come from it")
        elif gone or rewritten:
            lost |= dict.fromkeys(gone)
            result.faults.append(
                f"{said}, though HEAD comes from it: {len(gone)} of its {len(earlier)} entries are not here"
            )
        else:
            result.unknown.append(
                f"{said}: a merge brought two logs together. All its entries are here, in another order"
            )
    return [_entry(each, 0) for each in lost]


def _begins(lines: list[bytes], earlier: list[bytes]) -> bool:
    return lines[: len(earlier)] == earlier


def _is_rewriting(evidence: Evidence, commit: str, parents: list[str]) -> bool:
    """Whether a commit, which is no merge, changed what its parent had in the log."""
    with suppress(DamageError):
        return len(parents) == 1 and not _begins(log_at(evidence, commit), log_at(evidence, parents[0]))
    return False


def append(root: Path, entries: list[dict[str, str]]) -> Head:
    """Adds entries at the end and returns the new head. Raises ProjectError for one that is there already."""
    from ..base.pages import write_whole

    lines = read_log(root)
    added = [text_of(entry) for entry in entries]
    if twice := {*lines} & {*added}:
        raise ProjectError(f"it is in the log already: {next(iter(twice)).decode()}")
    path = root / PATH
    path.parent.mkdir(exist_ok=True)
    lines += added
    write_whole(path, "".join(f"{line.decode()}\n" for line in lines))
    return head_of(lines)


def certified(path: Path) -> dict[str, str]:
    """The entry of a certificate: its digest, and nothing that it says. Raises LineageError if it is none."""
    from ..audit.certificate_form import fault_of_form, read

    certificate = read(path)
    if fault := fault_of_form(certificate):
        raise LineageError(f"{path} is no certificate: {fault}.")
    return {"kind": "certified", "sha256": str(certificate["digest"])}


def prove(lines: list[bytes], old: Head) -> dict[str, Any]:
    """What shows anybody that the log begins with that of an earlier head, for scripts/check_log.py.

    Raises LineageError where it does not: it was rewritten, or forked.
    """
    new = head_of(lines)
    if old.size > new.size:
        raise LineageError(
            f"the log has {new.size} entries, and that head has {old.size}: it was cut, or this is a fork."
        )
    if head_of(lines[: old.size]) != old:
        raise LineageError(
            f"the first {old.size} entries are not those of that head: the log was rewritten, or this is a fork."
        )
    return {"kind": "consistency of a log", "old": str(old), "new": str(new), "proof": consistency(lines, old.size)}


def _registered(evidence: Evidence, where: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Every lineage.json about a version that these refs lead to."""
    history = evidence.history
    for state in states_in(history.git, where):
        if state.path != LINEAGE:
            continue
        data = history.blob(state.blob)
        try:
            model = strict_json.parse(data)["model"]
        except (ValueError, TypeError, KeyError):
            continue
        if isinstance(model, dict) and model.get("version"):
            named = {"model": str(model.get("name")), "version": str(model["version"])}
            yield {"kind": "registered", **named, "identity": str(model.get("identity")), "sha256": _hash(data)}


def _added(evidence: Evidence, where: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Every decision, tombstone and attestation that a commit before one of these refs has added, oldest first."""
    history = evidence.history
    for change in changes_below(history.git, (f"{PROMOTIONS}/", f"{ERASURES}/", f"{ATTESTATIONS}/"), where):
        kind = next((name for name, pattern in ADDED.items() if pattern.fullmatch(change.path)), None)
        if change.status == "A" and kind:
            yield {"kind": kind, "path": change.path, "sha256": _hash(history.blob(change.blob))}


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()
