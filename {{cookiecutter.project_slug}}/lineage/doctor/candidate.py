"""Whether the alias `candidate` names the model of this checkout."""

from __future__ import annotations

import json
from pathlib import Path

from ..base.errors import TrackerError
from ..base.finding import Finding
from ..contract import Role
from ..dvc.dvcfile import PARAMS_FILE
from ..dvc.recorded import Recorded
from ..git.anchor import main_root
from ..git.repository import Repository
from ..settings import load_settings
from ..tracking.address import SQLITE, absolute_uri
from ..tracking.candidate import ALIAS, why_not_here
from .registry import registry_at


def check_candidate(root: Path) -> Finding:
    """Whether the alias names the model that dvc.lock records here; where not, whether this branch may move it."""
    tracking, identity = load_settings(root / PARAMS_FILE).tracking, Recorded.here(root).identity
    if identity is None:
        return Finding(ALIAS, "right", "dvc.lock records no model yet")
    alias = f"models:/{tracking.model_name}@{ALIAS}"
    registry = registry_at(absolute_uri(tracking.uri, main_root(root)))
    if registry is None and tracking.uri.startswith(SQLITE):
        return Finding(ALIAS, "right", "the registry of this checkout holds no model yet")
    if registry is None:
        return Finding(ALIAS, "unknown", "doctor does not ask this kind of registry", f"lineage verify {alias}")
    try:
        found = registry.named(tracking.model_name, ALIAS)
    except TrackerError as error:
        return Finding(ALIAS, "unknown", f"which model has the alias is unknown: {error}")
    if found is None:
        return Finding(ALIAS, "right", f"no version of {tracking.model_name} has the alias")
    named = f"{alias} is version {found.version}"
    if found.identity == identity:
        return Finding(ALIAS, "right", f"{named}, the model of this checkout")
    if why_not := why_not_here(root, tracking):
        return Finding(ALIAS, "right", f"{named}, not the model of this checkout: {why_not}")
    if not _is_one_result(root, identity):
        text = f"{named}. lineage.json is not of the model that dvc.lock records here, as the run did not go on to it."
        return Finding(ALIAS, "unknown", text, "dvc repro")
    if not _is_committed(root):
        text = f"{named}, not the model of this checkout. Once that is committed, `lineage link` moves the alias."
        return Finding(ALIAS, "unknown", text, "git add --all && git commit")
    text = f"{named}, not the model of this checkout. `lineage link` moves the alias, once for each result."
    return Finding(ALIAS, "unknown", text, "lineage link")


def _is_one_result(root: Path, identity: str) -> bool:
    """Whether lineage.json is of this model, so that what is here is one result."""
    path = Recorded.here(root).pipeline.path(Role.CHAIN)
    if path is None:
        return True
    try:
        return bool(json.loads((root / path).read_text(encoding="utf-8"))["model"]["identity"] == identity)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_committed(root: Path) -> bool:
    return Repository(root).run("diff", "--quiet", "HEAD", "--", "dvc.lock") is not None
