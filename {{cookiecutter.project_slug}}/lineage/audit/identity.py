"""Whether an id has ever meant anybody: a typing error must not pass for somebody who is in no model."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..base.errors import ProjectError
from ..chain.consent import read_now
from ..contract import Role
from ..dvc.dvcfile import DVC_LOCK, PARAMS_FILE, locked_hash
from ..proof.case import Evidence
from ..records.consent import read_snapshot
from ..settings import load_settings


def known_to_registries(evidence: Evidence, ids: set[str]) -> set[str]:
    """Those of `ids` that the consent registry lists now, or that a snapshot of it in any commit has listed.

    A registry or a snapshot that cannot be read counts as not having held them.
    """
    known: set[str] = set()
    for listed in _registries(evidence):
        known |= ids & listed
        if known == ids:
            break
    return known


def _registries(evidence: Evidence) -> Iterator[set[str]]:
    settings = load_settings(evidence.root / PARAMS_FILE)
    if settings.privacy.registry is not None:
        with contextlib.suppress(ProjectError):
            yield set(read_now(settings))
    with tempfile.TemporaryDirectory() as scratch:
        for md5 in _snapshots(evidence):
            with contextlib.suppress(ProjectError):
                yield set(read_snapshot(evidence.objects.verified(md5, Path(scratch))))


def _snapshots(evidence: Evidence) -> list[str]:
    """The snapshots that any commit records, newest first."""
    history = evidence.history
    commits = dict.fromkeys(state.commit for state in reversed(history.states) if state.path == DVC_LOCK)
    paths = history.roles.paths(Role.CONSENT)
    entries = (entry for commit in commits for entry in history.at(commit).lock.values())
    found = (locked_hash(entry, kind, path) for entry in entries for kind in ("deps", "outs") for path in paths)
    return list(dict.fromkeys(md5 for md5 in found if md5))
