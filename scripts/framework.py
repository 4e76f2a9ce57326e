"""Writes lineage/SHA256SUMS of the template, by which `lineage doctor` finds framework files that were edited.

    python scripts/framework.py            writes it
    python scripts/framework.py --check    exits with 1 where it is not up to date

`cd lineage && sha256sum --check SHA256SUMS` does the same in a project.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "{{cookiecutter.project_slug}}" / "lineage"
SUMS = "SHA256SUMS"


def sums(folder: Path) -> str:
    """A line for each file of the framework, but for the list itself and what Python has compiled."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    files = sorted(name.as_posix() for name in names if name.name != SUMS and "__pycache__" not in name.parts)
    return "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files)


if __name__ == "__main__":
    folder = Path(sys.argv[-1]) if len(sys.argv) > 1 and not sys.argv[-1].startswith("-") else FOLDER
    text = sums(folder)
    if "--check" in sys.argv and (folder / SUMS).read_text(encoding="utf-8") != text:
        sys.exit(f"{folder / SUMS} is not up to date: `make sums` writes it.")
    (folder / SUMS).write_text(text, encoding="utf-8", newline="\n")
