"""Installed packages, and those that requirements.lock asks for."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

LOCK = "requirements.lock"
FIELD = re.compile(r"^(name|version):[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
TOOLS = "requirements-dev"
# what belongs to the torch of an image, which is built for the image's accelerators: kept as it is there
IMAGE_PACKAGES = ("torch", "torchvision", "triton", "nvidia-", "cuda-", "pytorch-triton")


def extra_locks(root: Path) -> list[Path]:
    """The locks beside requirements.lock whose first package is installed: that of W&B, for example."""
    found = []
    for source in sorted(root.glob("requirements-*.in")):
        asked = [line for line in source.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
        lock = source.with_suffix(".lock")
        if source.stem != TOOLS and asked and Requirement(asked[0]).name in installed() and lock.exists():
            found.append(lock)
    return found


def belongs_to_torch(name: str) -> bool:
    """Whether a package is torch, or what torch is built for."""
    return name.startswith(tuple(part for part in IMAGE_PACKAGES if part.endswith("-"))) or name in IMAGE_PACKAGES


@cache
def installed() -> dict[str, str]:
    """Version by package name of everything this Python can import, sorted by name."""
    found: dict[str, str] = {}
    for dist in distributions():
        # `dist.metadata` parses all of it, the long descriptions too: 0.15 s for 250 packages
        text = dist.read_text("METADATA") or dist.read_text("PKG-INFO") or ""
        head = {key.lower(): value for key, value in reversed(FIELD.findall(text.partition("\n\n")[0]))}
        if head.get("name"):
            found.setdefault(canonicalize_name(head["name"]), head.get("version", ""))  # the first is the one imported
    return dict(sorted(found.items()))


def locked(lock: Path) -> dict[str, str]:
    """Version by package name of what `lock` asks for on this platform and Python."""
    return pins(lock.read_text(encoding="utf-8"))


def pins(lock: str, markers: dict[str, str] | None = None) -> dict[str, str]:
    """Version by package name of what the text of a lock asks for. Hashes are left out.

    `markers` describe the Python and the platform (PEP 508); None stands for those here.
    """
    found: dict[str, str] = {}
    for line in lock.splitlines():
        text = line.partition("#")[0].strip().rstrip("\\").strip()
        if not text or text.startswith("-"):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        pinned = [clause.version for clause in requirement.specifier if clause.operator == "=="]
        if pinned and (requirement.marker is None or requirement.marker.evaluate(markers)):
            found[canonicalize_name(requirement.name)] = pinned[0]
    return found


def differences(lock: Path, *, kept: bool = False) -> list[str]:
    """What is installed otherwise than `lock` says, a sentence each; with `kept`, all that belongs to torch aside."""
    have = installed()
    wrong = []
    for name, version in locked(lock).items():
        there = have.get(name)
        if kept and belongs_to_torch(name):
            continue
        if there is None:
            wrong.append(f"{name} {version} is not installed")
        # a lock without a local part (+cpu, +cu130) admits any
        elif there != version and there.partition("+")[0] != version:
            wrong.append(f"{name} is {there}, the lock says {version}")
    return wrong
