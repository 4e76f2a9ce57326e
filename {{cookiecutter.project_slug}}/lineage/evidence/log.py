"""The transparency log: a line for everything that was registered, decided, erased, attested and certified.

`log/entries.jsonl` is in Git and only ever grows, on one branch. Lines name things by hash: no reason, no name and no
id of a person is in them, and no time, which would be a claim. Over the lines there is a Merkle tree (merkle_log.py):
whoever keeps a head finds out later whether anything before it was changed, left out or put in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..base import strict_json
from ..base.errors import DamageError, LineageError, ProjectError
from ..git.states import PERMANENT
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


def held(evidence: Evidence) -> list[dict[str, str]]:
    """What branches and tags hold that belongs into the log, oldest first."""
    found = [*_registered(evidence), *_added(evidence)]
    return list({text_of(entry): entry for entry in found}.values())


def compare(evidence: Evidence) -> Compared:
    """The log here: does it begin with that of every commit, and is all in it that Git holds, and nothing else?"""
    lines = read_log(evidence.root)
    result = Compared(head_of(lines))
    branch = evidence.history.git.lines("log", "--first-parent", "--format=%H", "HEAD", "--", PATH)
    for commit in reversed(list(dict.fromkeys([*evidence.history.commits_changing(PATH), *branch]))):
        said = _not_beginning(evidence, commit, lines)
        if said:
            (result.faults if commit in branch else result.notes).append(said)
    known, there = {*lines}, held(evidence)
    if len(known) < len(lines):
        result.faults.append("an entry is in the log twice")
    result.missing = [entry for entry in there if text_of(entry) not in known]
    expected = {text_of(entry) for entry in there}
    for number, line in enumerate(lines, start=1):
        if line not in expected and _entry(line, number)["kind"] != "certified":
            result.faults.append(f"line {number} is about something that no branch or tag holds: {line.decode()[:150]}")
    return result


def _not_beginning(evidence: Evidence, commit: str, lines: list[bytes]) -> str:
    """What is wrong if this log does not begin with that of a commit."""
    try:
        before = log_at(evidence, commit)
    except DamageError as error:
        return f"at commit {commit[:12]}, {error}"
    if lines[: len(before)] == before:
        return ""
    return f"the log of commit {commit[:12]} ({head_of(before)}) is not the beginning of this one: it was changed"


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


def _registered(evidence: Evidence) -> Iterator[dict[str, str]]:
    """Every lineage.json of a branch or tag that is about a version."""
    history = evidence.history
    for state in history.states:
        if state.path != LINEAGE or not history.is_on_branch(state.commit):
            continue
        data = history.blob(state.blob)
        try:
            model = strict_json.parse(data)["model"]
        except (ValueError, TypeError, KeyError):
            continue
        if isinstance(model, dict) and model.get("version"):
            named = {"model": str(model.get("name")), "version": str(model["version"])}
            yield {"kind": "registered", **named, "identity": str(model.get("identity")), "sha256": _hash(data)}


def _added(evidence: Evidence) -> Iterator[dict[str, str]]:
    """Every decision, tombstone and attestation that a commit of a branch or tag has added, oldest first."""
    git, history = evidence.history.git, evidence.history
    folders = (f"{PROMOTIONS}/", f"{ERASURES}/", f"{ATTESTATIONS}/")
    options = ("--full-history", "--no-merges", "--raw", "--no-abbrev", "--no-renames", "--relative", "--reverse")
    if not git.lines("rev-list", "--max-count=1", *PERMANENT, "HEAD"):
        return
    for line in git.must("log", *PERMANENT, "HEAD", *options, "--topo-order", "--format=", "--", *folders):
        if not line.startswith(":"):
            continue
        meta, _, path = line.partition("\t")
        *_, blob, status = meta.split()
        kind = next((name for name, pattern in ADDED.items() if pattern.fullmatch(path)), None)
        if status == "A" and kind:
            yield {"kind": kind, "path": path, "sha256": _hash(history.blob(blob))}


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()
