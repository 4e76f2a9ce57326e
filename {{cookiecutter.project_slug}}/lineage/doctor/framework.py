"""Whether the framework is as the template brought it: an update replaces it whole, with what was edited in it."""

from __future__ import annotations

from pathlib import Path

from ..base.finding import Finding
from ..base.printable import some
from ..dvc.hashes import hash_file

FOLDER, SUMS, VERSION = "lineage", "SHA256SUMS", "VERSION"


def check_framework(root: Path) -> Finding:
    """Compares every file below lineage/ with the list that came with it."""
    folder = root / FOLDER
    try:
        version = (folder / VERSION).read_text(encoding="utf-8").strip()
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        return Finding("framework", "wrong", f"{error.filename} is missing.", f"git checkout HEAD -- {FOLDER}")
    stated = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    found = {path.relative_to(folder).as_posix(): hash_file(path, path.name).sha256 for path in paths}
    found.pop(SUMS, None)
    differing = sorted(name for name in {*stated, *found} if stated.get(name) != found.get(name))
    if not differing:
        return Finding("framework", "right", f"{FOLDER}/ is version {version}, as the template brought it")
    named = some([f"{FOLDER}/{name}" for name in differing])
    text = (
        f"{named} {'is' if len(differing) == 1 else 'are'} not as version {version} of the template has it: an update "
        "would replace it. What is yours belongs into your package."
    )
    return Finding("framework", "unknown", text, f"git log --patch -- {FOLDER}/{differing[0]}")
