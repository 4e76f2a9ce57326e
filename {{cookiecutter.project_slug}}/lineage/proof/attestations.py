"""The attestations that Git holds of a version: attestations/MODEL/NUMBER/0001/ and so on. Files are only ever added.

provenance.json     how it was made, signed
verification.json   what `lineage verify` found then, signed
model.sig           the registered files, signed with OpenSSF model-signing
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

from ..base.errors import DamageError
from ..git.history import History
from ..git.states import PERMANENT
from ..signing.trust import FOLDER, STATES, TRUST, Trusted, parse_trust

PROVENANCE, VERIFICATION, MODEL = "provenance.json", "verification.json", "model.sig"
NAMES = (PROVENANCE, VERIFICATION, MODEL)
Change = tuple[str, str, str, str]  # commit, status, blob, path


def folder_of(model: str, number: str) -> str:
    """The folder with the attestations of a version."""
    return f"{FOLDER}/{quote(model, safe=' ')}/{number}"


@dataclass(frozen=True)
class Attestation:
    """The latest that HEAD holds: its folder, the commit that brought it, its files by name, all commits that did."""

    folder: str
    commit: str
    files: dict[str, bytes]
    commits: dict[str, tuple[str, ...]]  # by name of the file; a squashed branch has brought it as well, for example


@dataclass(frozen=True)
class Attestations:
    """Those of a version: the latest in HEAD, and what only other branches or tags have, each in a sentence."""

    latest: Attestation | None
    elsewhere: tuple[str, ...]


def attestations_of(history: History, model: str, number: str) -> list[str]:
    """The folders of all attestations of a version that branches, tags or HEAD ever brought, oldest first."""
    own = folder_of(model, number)
    changes = _changes(history, FOLDER)
    found = {path.rpartition("/")[0] for _, status, _, path in changes if status == "A" and path.startswith(f"{own}/")}
    return sorted(path for path in found if re.fullmatch(r"\d{4,}", path.removeprefix(f"{own}/")))


def find(history: History, model: str, number: str) -> Attestations:
    """The attestations of a version. Raises DamageError where one was changed or taken away, or is not whole."""
    own, tree = f"{folder_of(model, number)}/", history.at("HEAD")
    changes = [each for each in _changes(history, FOLDER) if each[3].startswith(own)]
    for commit, status, _, path in changes:
        if status != "A":
            raise DamageError(f"{path} was changed or removed by commit {commit[:12]}: attestations are only added")
    latest, elsewhere = None, []
    for folder in attestations_of(history, model, number):
        files = {name: data for name in NAMES if (data := tree.read(f"{folder}/{name}")) is not None}
        brought = next(commit for commit, _, _, path in changes if path.startswith(f"{folder}/"))
        if lacking := [name for name in NAMES if name not in files]:
            if files:
                raise DamageError(f"{folder} lacks {lacking[0]}")
            if is_before(history, brought, "HEAD"):
                raise DamageError(f"{folder} was brought by commit {brought[:12]}, and HEAD does not have it any more")
            elsewhere.append(f"{folder} of commit {brought[:12]} is not in HEAD")
            continue
        commits = {name: _brought(history, changes, f"{folder}/{name}", data) for name, data in files.items()}
        latest = Attestation(folder, brought, files, commits)
    return Attestations(latest, tuple(elsewhere))


def _brought(history: History, changes: list[Change], path: str, data: bytes) -> tuple[str, ...]:
    """The commits that brought a file with this content: two branches may each have one of the same name."""
    return tuple(commit for commit, _, blob, each in changes if each == path and history.blob(blob) == data)


def is_before(history: History, commit: str, later: str) -> bool:
    """Whether a commit is an ancestor of a later one, as hashes bind it."""
    return history.git.run("merge-base", "--is-ancestor", commit, later) is not None


def was_before_retirement(history: History, commits: Iterable[str], identity: str) -> bool:
    """Whether one of the commits is before the one that retired a key: that one has it as an ancestor."""
    retired = next((commit for commit, signer in _said_of(history, identity, "HEAD") if signer.state != "active"), None)
    return retired is not None and any(one != retired and is_before(history, one, retired) for one in commits)


def as_worst(history: History, signer: Trusted) -> tuple[Trusted, str]:
    """A signer as the worst that HEAD or a commit before it says: what was revoked stays so.

    And the commit of another branch or tag that says worse; "" if none does.
    """
    worst = max((signer, *(said for _, said in _said_of(history, signer.id, "HEAD"))), key=_badness)
    others = [commit for commit, said in _said_of(history, signer.id) if _badness(said) > _badness(worst)]
    return worst, others[0] if others else ""


def _badness(signer: Trusted) -> int:
    return STATES.index(signer.state)


def _said_of(history: History, identity: str, *where: str) -> list[tuple[str, Trusted]]:
    """Each commit that changed the file of who is trusted, with what that says of a signer, oldest first."""
    found = []
    for commit, _, _, path in _changes(history, FOLDER, *where):
        if path != TRUST:
            continue
        with suppress(DamageError):  # of a file that was none, HEAD has another by now, or the link says so
            if signer := parse_trust(history.at(commit).read(TRUST)).find(identity):
                found.append((commit, signer))
    return found


@cache  # lives as long as one command
def _changes(history: History, path: str, *where: str) -> list[Change]:
    """Each change below a path, oldest first. What only a merge brings, nobody has made."""
    git, found, commit = history.git, list[Change](), ""
    where = where or (*PERMANENT, "HEAD")
    if not git.lines("rev-list", "--max-count=1", *where):
        return []
    options = ("--full-history", "--no-merges", "--raw", "--no-abbrev", "--no-renames", "--relative", "--reverse")
    for line in git.must("log", *where, *options, "--topo-order", "--format=%H", "--", path):
        if line.startswith(":"):
            meta, _, name = line.partition("\t")
            *_, blob, status = meta.split()
            found.append((commit, status, blob, name))
        else:
            commit = line or commit
    return found
