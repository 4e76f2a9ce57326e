"""The attestations that Git holds of a version: attestations/MODEL/NUMBER/0001/ and so on. Files are only ever added.

provenance.json     how it was made, signed
verification.json   what `lineage verify` found then, signed
model.sig           the registered files, signed with OpenSSF model-signing
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from ..base.errors import DamageError
from ..git.changes import EVERYWHERE, Change, changes_below
from ..git.history import History
from ..signing.trust import FOLDER, STATES, TRUST, Trust, Trusted, parse_trust

PROVENANCE, VERIFICATION, MODEL = "provenance.json", "verification.json", "model.sig"
NAMES = (PROVENANCE, VERIFICATION, MODEL)


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
    own = f"{folder_of(model, number)}/"
    added = [each.path for each in _changes(history) if each.status == "A" and each.path.startswith(own)]
    folders = {path.rpartition("/")[0] for path in added}
    return sorted(path for path in folders if re.fullmatch(r"\d{4,}", path.removeprefix(own)))


def find(history: History, model: str, number: str) -> Attestations:
    """The attestations of a version. Raises DamageError where HEAD, or a commit before it, changed one or took it away.

    What another branch does to one that HEAD has says nothing about that one.
    """
    own, tree = f"{folder_of(model, number)}/", history.at("HEAD")
    changes = [each for each in _changes(history) if each.path.startswith(own)]
    for each in changes:
        if each.status != "A" and is_before(history, each.commit, "HEAD"):
            raise DamageError(
                f"{each.path} was changed or removed by commit {each.commit[:12]}: attestations are only added"
            )
    latest, elsewhere = None, []
    for folder in attestations_of(history, model, number):
        files = {name: data for name in NAMES if (data := tree.read(f"{folder}/{name}")) is not None}
        brought = [each.commit for each in changes if each.status == "A" and each.path.startswith(f"{folder}/")]
        if lacking := [name for name in NAMES if name not in files]:
            if files:
                raise DamageError(f"{folder} lacks {lacking[0]}")
            if before := next((commit for commit in brought if is_before(history, commit, "HEAD")), None):
                raise DamageError(f"{folder} was brought by commit {before[:12]}, and HEAD does not have it any more")
            elsewhere.append(f"{folder} of commit {brought[0][:12]} is not in HEAD")
            continue
        commits = {name: _brought(history, changes, f"{folder}/{name}", data) for name, data in files.items()}
        latest = Attestation(folder, brought[0], files, commits)
    return Attestations(latest, tuple(elsewhere))


def _brought(history: History, changes: list[Change], path: str, data: bytes) -> tuple[str, ...]:
    """The commits that brought a file with this content: two branches may each have one of the same name."""
    added = (each for each in changes if (each.status, each.path) == ("A", path))
    return tuple(each.commit for each in added if history.blob(each.blob) == data)


def is_before(history: History, commit: str, later: str) -> bool:
    """Whether a commit is an ancestor of a later one, as hashes bind it."""
    return history.git.run("merge-base", "--is-ancestor", commit, later) is not None


def was_before_retirement(history: History, commits: Iterable[str], identity: str) -> bool:
    """Whether one of the commits is before the one that retired a key: that one has it as an ancestor."""
    said = _said_of(history, {identity}, "HEAD")
    retired = next((commit for commit, signer in said if signer.id == identity and signer.state != "active"), None)
    return retired is not None and any(one != retired and is_before(history, one, retired) for one in commits)


@dataclass(frozen=True)
class Standing:
    """What became of those on whom a signature rests: each as the worst that HEAD or a commit before it says."""

    signers: tuple[Trusted, ...]  # the worst first
    worse: str  # a commit of another branch or tag that says worse of one of them; "" if none does


def standing(history: History, ids: Collection[str]) -> Standing:
    """What trust.json says, or has ever said, of keys and certificates by these ids: what was revoked stays so."""
    found: dict[str, Trusted] = {}
    for _, signer in _said_of(history, ids, "HEAD"):
        found[signer.id] = max(found.get(signer.id, signer), signer, key=_badness)
    others = (
        commit
        for commit, said in _said_of(history, ids, *EVERYWHERE)
        if _badness(said) > (_badness(found[said.id]) if said.id in found else 0)
    )
    return Standing(tuple(sorted(found.values(), key=_badness, reverse=True)), next(others, ""))


def _badness(signer: Trusted) -> int:
    return STATES.index(signer.state)


def _said_of(history: History, ids: Collection[str], *where: str) -> list[tuple[str, Trusted]]:
    """Each commit that changed the file of who is trusted, with what that says of a signer, oldest first."""
    return [
        (commit, each) for commit, trust in _trusts(history, *where) for each in trust.signers if each.is_one_of(ids)
    ]


@lru_cache(maxsize=2)  # that of HEAD, and of everything; no more, or histories would stay in long-lived processes
def _trusts(history: History, *where: str) -> list[tuple[str, Trust]]:
    """Every state of that file, oldest first, of merges too, as far as it can be read; at HEAD it must be."""
    if not history.git.lines("rev-list", "--max-count=1", *where):
        return []
    options = ("--full-history", "--topo-order", "--reverse", "--format=%H")
    found = []
    for commit in history.git.must("log", *where, *options, "--", TRUST):
        with suppress(DamageError):
            found.append((commit, parse_trust(history.at(commit).read(TRUST))))
    return found


@lru_cache(maxsize=1)
def _changes(history: History) -> list[Change]:
    return changes_below(history.git, (FOLDER,))
