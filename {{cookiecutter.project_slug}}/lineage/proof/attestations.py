"""The attestations that Git holds of a version: attestations/MODEL/NUMBER/0001/ and so on. Files are only ever added.

provenance.json     how it was made, signed
verification.json   what `lineage verify` found then, signed
model.sig           the registered files, signed with OpenSSF model-signing
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

from ..base.errors import DamageError
from ..git.history import History
from ..git.states import PERMANENT
from ..signing.trust import FOLDER, TRUST, parse_trust

PROVENANCE, VERIFICATION, MODEL = "provenance.json", "verification.json", "model.sig"
NAMES = (PROVENANCE, VERIFICATION, MODEL)


def folder_of(model: str, number: str) -> str:
    """The folder with the attestations of a version."""
    return f"{FOLDER}/{quote(model, safe=' ')}/{number}"


@dataclass(frozen=True)
class Attestation:
    """The latest that HEAD holds: its folder, the commit that brought it, its files by name."""

    folder: str
    commit: str
    files: dict[str, bytes]


def attestations_of(history: History, model: str, number: str) -> list[str]:
    """The folders of all attestations of a version that branches, tags or HEAD ever brought, oldest first."""
    own = folder_of(model, number)
    changes = _changes(history, FOLDER)
    found = {path.rpartition("/")[0] for _, status, path in changes if status == "A" and path.startswith(f"{own}/")}
    return sorted(path for path in found if re.fullmatch(r"\d{4,}", path.removeprefix(f"{own}/")))


def latest(history: History, model: str, number: str) -> Attestation | None:
    """The latest of them that is in HEAD; None if none ever was.

    Raises DamageError where one was changed or taken away, or is not in HEAD, or is not whole.
    """
    folders = attestations_of(history, model, number)
    if not folders:
        return None
    own = f"{folder_of(model, number)}/"
    changes = [each for each in _changes(history, FOLDER) if each[2].startswith(own)]
    for commit, status, path in changes:
        if status != "A":
            raise DamageError(f"{path} was changed or removed by commit {commit[:12]}: attestations are only added")
    folder, tree = folders[-1], history.at("HEAD")
    files = {name: tree.read(f"{folder}/{name}") for name in NAMES}
    if lacking := [name for name, data in files.items() if data is None]:
        raise DamageError(f"{folder} of another branch is not in HEAD, or lacks {lacking[0]}: merge it")
    commit = next(commit for commit, _, path in changes if path.startswith(f"{folder}/"))
    return Attestation(folder, commit, {name: data for name, data in files.items() if data is not None})


def was_before_retirement(history: History, commit: str, identity: str) -> bool:
    """Whether a commit is before the one that retired a key, as hashes bind it: that one has it as an ancestor."""
    retired = next(
        (
            each
            for each, _, path in _changes(history, FOLDER, "HEAD")
            if path == TRUST and _is_retired(history, each, identity)
        ),
        None,
    )
    if retired is None or retired == commit:
        return False
    return history.git.run("merge-base", "--is-ancestor", commit, retired) is not None


def _is_retired(history: History, commit: str, identity: str) -> bool:
    try:
        found = parse_trust(history.at(commit).read(TRUST)).find(identity)
    except DamageError:
        return False
    return found is not None and found.state != "active"


@cache  # lives as long as one command
def _changes(history: History, path: str, *where: str) -> list[tuple[str, str, str]]:
    """Commit, status and path of each change below a path, oldest first. What only a merge brings, nobody has made."""
    git, found, commit = history.git, list[tuple[str, str, str]](), ""
    where = where or (*PERMANENT, "HEAD")
    if not git.lines("rev-list", "--max-count=1", *where):
        return []
    options = ("--full-history", "--no-merges", "--raw", "--no-abbrev", "--no-renames", "--relative", "--reverse")
    for line in git.must("log", *where, *options, "--topo-order", "--format=%H", "--", path):
        if line.startswith(":"):
            meta, _, name = line.partition("\t")
            found.append((commit, meta.split()[4], name))
        else:
            commit = line or commit
    return found
