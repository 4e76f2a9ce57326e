"""Whether Git, of the project or of anything around it, would take data in."""

from __future__ import annotations

from pathlib import Path

from ..base.finding import Finding
from ..dvc.dvcfile import PARAMS_FILE
from ..run.exposed import exposed_places
from ..settings import load_settings


def check_places(root: Path) -> Finding:
    """Whether the remote, the cache, the source, the registry and MLflow's store are out of Git's reach."""
    found = exposed_places(root, load_settings(root / PARAMS_FILE))
    if not found:
        return Finding("data and Git", "right", "no Git repository takes in what holds data")
    more = f" The same holds for {', '.join(place.what for place in found[1:])}." if found[1:] else ""
    text = f"{found[0].text}{more}"
    return Finding("data and Git", "wrong", text, found[0].fix)
