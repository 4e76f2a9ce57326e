"""How a linked project is damaged, and where its parts lie. The model to damage is version 2."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from baked import Project

SECOND = "models:/traceable-digits/2"
WEIGHTS = "models/model.safetensors"


def overwrite(path: Path, data: bytes) -> None:
    """Objects are read-only."""
    path.chmod(0o644)
    path.write_bytes(data)


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def edit(path: Path, old: str, new: str) -> Callable[[], object]:
    def change() -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def rewrite(project: Project, change: Callable[[], object], subject: str = "Second model") -> None:
    """The last commit as if `change` had been part of it, and nothing left of the one that was."""
    change()
    project.git("commit", "--quiet", "--all", "--amend", "--allow-empty", "--message", subject)
    project.git("push", "--quiet", "--force", "origin", "main")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")


def lock_edit(project: Project, stage: str, path: str, md5: str = "0" * 32) -> None:
    """Another hash for `path` in the entry of `stage` in dvc.lock."""
    lock = project.root / "dvc.lock"
    text = lock.read_text()
    start = text.index(f"\n  {stage}:\n")
    at = text.index(f"path: {path}\n", start)
    found = re.compile(r"md5: ([0-9a-f]{32})").search(text, at)
    assert found
    lock.write_text(text[: found.start(1)] + md5 + text[found.end(1) :])


def shards(project: Project) -> list[str]:
    listing = project.listing(project.out("preprocess", "data/processed"))
    return [entry["md5"] for entry in listing if entry["relpath"].startswith("shards/")]


def manifest(project: Project) -> str:
    listing = project.listing(project.out("preprocess", "data/processed"))
    return next(entry["md5"] for entry in listing if entry["relpath"] == "manifest.parquet")


def put(project: Project, data: bytes, suffix: str = "") -> str:
    """Puts an object into cache and remote, under the name that its bytes have."""
    md5 = hashlib.md5(data).hexdigest() + suffix
    for path in (project.cached(md5), project.object(md5)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return md5


def artifact(project: Project, name: str) -> Path:
    """A file of the second version as the registry hands it out."""
    client = project.store().client
    model = client.get_model_version("traceable-digits", "2").source.removeprefix("models:/")
    folder = Path(client.get_logged_model(model).artifact_location.removeprefix("file://"))
    return next(folder.rglob(name))


def training_run(project: Project, number: str = "2") -> str:
    return project.store().client.get_model_version("traceable-digits", number).tags["training_run_id"]


def run_artifact(project: Project, name: str) -> Path:
    return project.root / "mlartifacts" / training_run(project) / "artifacts" / name


OF_A_FILE: dict[str, Callable[[Path, Path], None]] = {
    "deleted": lambda path, other: path.unlink(),
    "truncated": lambda path, other: overwrite(path, path.read_bytes()[:-1]),
    "emptied": lambda path, other: overwrite(path, b""),
    "extended": lambda path, other: overwrite(path, path.read_bytes() + b"\0"),
    "one bit flipped": lambda path, other: overwrite(path, flip(path.read_bytes())),
    "swapped": lambda path, other: overwrite(path, other.read_bytes()),
    "made a folder": lambda path, other: (path.unlink(), path.mkdir()),
}
