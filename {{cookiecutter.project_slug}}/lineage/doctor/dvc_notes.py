"""Whether DVC's notes of what it works with can be read: whoever ends it while it writes them leaves half of them."""

from __future__ import annotations

import json
from pathlib import Path

from ..base.finding import Finding

NOTES = Path(".dvc", "tmp", "rwlock")


def check_dvc_notes(root: Path) -> Finding:
    """DVC refuses every stage where its notes are cut off, and never writes them again itself."""
    if _is_readable(root / NOTES) or _is_readable_when_nobody_writes(root / NOTES):
        return Finding("DVC", "right", "its notes of what it works with can be read")
    text = f"{NOTES} is cut off: dvc was ended while it wrote there, and now it refuses every stage."
    return Finding("DVC", "wrong", text, f"rm {NOTES}")


def _is_readable(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def _is_readable_when_nobody_writes(path: Path) -> bool:
    from dvc.lock import make_lock

    with make_lock(str(path.with_name("rwlock.lock")), tmp_dir=str(path.parent)):  # as DVC guards it
        return _is_readable(path)
