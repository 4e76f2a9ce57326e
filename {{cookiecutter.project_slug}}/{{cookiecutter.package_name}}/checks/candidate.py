"""Whether the alias `candidate` names the model of this checkout."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ..lineage.anchor import main_root
from ..lineage.candidate import ALIAS, why_not_here
from ..lineage.chain import model_identity
from ..lineage.tracking import SQLITE, absolute_uri
from ..pipeline.dvcfile import PARAMS_FILE, read_lock
from ..settings import load_settings
from .finding import Finding

VERSION = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
IDENTITY = "SELECT value FROM model_version_tags WHERE name = ? AND version = ? AND key = 'model_identity'"


def check_candidate(root: Path) -> Finding:
    """Whether the alias names the model that dvc.lock records here; where not, whether this branch may move it."""
    tracking, lock = load_settings(root / PARAMS_FILE).tracking, read_lock(root)
    if "train" not in lock:
        return Finding(ALIAS, "right", "dvc.lock records no model yet")
    if not tracking.uri.startswith(SQLITE):
        return Finding(ALIAS, "right", f"`lineage verify models:/{tracking.model_name}@{ALIAS}` asks the registry")
    path = Path(absolute_uri(tracking.uri, main_root(root)).removeprefix(SQLITE))
    if not path.exists():
        return Finding(ALIAS, "right", "the registry of this checkout holds no model yet")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        found = database.execute(VERSION, (tracking.model_name, ALIAS)).fetchone()
        if found is None:
            return Finding(ALIAS, "right", f"no version of {tracking.model_name} has the alias")
        identity = database.execute(IDENTITY, (tracking.model_name, found[0])).fetchone()
    named = f"models:/{tracking.model_name}@{ALIAS} is version {found[0]}"
    if identity and identity[0] == model_identity(lock):
        return Finding(ALIAS, "right", f"{named}, the model of this checkout")
    if why_not := why_not_here(root, tracking):
        return Finding(ALIAS, "right", f"{named}, not the model of this checkout: {why_not}")
    text = f"{named}, not the model of this checkout. Once that is committed, `lineage link` moves the alias, once."
    return Finding(ALIAS, "unknown", text, "lineage link")
