"""The project's own sources that this process runs, as scripts/stage.py loaded them."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import NoReturn

STARTER = Path("scripts") / "stage.py"


def loaded_sources() -> dict[str, str] | None:
    """MD5 by path of every file of the project that was compiled and run; None if Python was free to run other code."""
    loaded: dict[str, str] | None = getattr(getattr(sys.modules[__name__].__spec__, "loader", None), "loaded", None)
    return loaded


def changed_since_loaded() -> list[Path]:
    """The files that were loaded and are not what they were then."""
    return [Path(path) for path, md5 in (loaded_sources() or {}).items() if _md5(path) != md5]


def start_from_sources(root: Path, module: str) -> NoReturn:
    """Starts the module that runs again, in this process, with nothing believed but its sources."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-I", str(root / STARTER), module])  # noqa: S606


def _md5(path: str) -> str | None:
    try:
        return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return None
