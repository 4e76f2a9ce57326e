"""Whether jobs or runs were left behind by whoever began them."""

from __future__ import annotations

from pathlib import Path

from ..base.finding import Finding
from ..base.printable import some
from ..git.anchor import main_root


def check_jobs(root: Path) -> Finding:
    from ..compute.aftercare import look_after

    found = [item for item in look_after(main_root(root), stop=False) if item.is_open]
    left = [item.text for item in found if not item.is_followed]
    if left:
        return Finding("jobs", "wrong", some(left), "lineage jobs --stop")
    return Finding("jobs", "right", f"{len(found)} are followed" if found else "none was left behind")
