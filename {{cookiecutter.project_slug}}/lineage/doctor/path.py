"""Whether the place of the project is one that DVC, MLflow and the shell can work in, and Git trusts."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ..base.finding import Finding
from ..git.repository import DUBIOUS, Repository

# what cannot read a path with this in it
BREAKS = {
    "?": "MLflow takes what follows for a query",
    "#": "MLflow takes what follows for a mark in the address",
    os.pathsep: "the PATH of an environment ends there",
    "\n": "a line ends there",
}


def check_path(root: Path) -> Finding:
    """Whether the project's path holds only what all tools can read."""
    path = str(root.resolve())
    fix = f"mv {shlex.quote(path)} /another/place && cd /another/place && rm -rf .venv && make setup"
    for letter, why in BREAKS.items():
        if letter in path:
            return Finding("place", "wrong", f"the path {path} holds {letter!r}: {why}.", fix)
    if "%" in path:
        text = f"the path {path} holds '%', which in addresses stands for another letter: not every tool reads it."
        return Finding("place", "unknown", text, fix)
    if not path.isascii():
        text = f"the path {path} holds other letters than ASCII: `dvc exp run` with --temp or --queue fails there."
        return Finding("place", "unknown", f"{text} `dvc repro` and `dvc exp run` work.", fix)
    return Finding("place", "right", path)


def distrust(root: Path) -> Finding | None:
    """The finding where Git refuses to look at a repository that belongs to somebody else; None where it does not."""
    refusal = Repository(root).refusal("rev-parse", "--git-dir") or ""
    if DUBIOUS not in refusal:
        return None
    place = next((above for above in (root, *root.parents) if (above / ".git").exists()), root).resolve()
    text = f"{place} belongs to another user, so Git refuses to read it. If you trust its owner:"
    return Finding("Git", "wrong", text, f"git config --global --add safe.directory {shlex.quote(str(place))}")
