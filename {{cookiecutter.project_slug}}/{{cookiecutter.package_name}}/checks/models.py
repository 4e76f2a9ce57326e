"""Whether MLflow knows the models that Git holds."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..lineage.anchor import main_root
from ..lineage.tracking import SQLITE, absolute_uri
from ..pipeline.dvcfile import PARAMS_FILE
from ..printable import some
from ..settings import load_settings
from .finding import Finding


def check_models(root: Path) -> Finding:
    """Whether MLflow has a version of every model that Git holds. Only files are asked: a server may be slow."""
    from ..proof.git_models import GitModels
    from ..proof.history import History

    held = GitModels(History(root), root)
    trained = {identity: model for identity, model in held.models.items() if model.stage == "train"}
    if held.unreadable:
        return Finding("models", "unknown", f"{held.unreadable[0]}.")
    here = load_settings(root / PARAMS_FILE).tracking.uri
    if not here.startswith(SQLITE):
        text = f"Git holds {len(trained)}; whether MLflow has a version of each, `lineage verify --all` says"
        return Finding("models", "right", text)
    files = {absolute_uri(uri, main_root(root)) for uri in (here, *held.uris) if uri.startswith(SQLITE)}
    stores = [path for path in (Path(uri.removeprefix(SQLITE)) for uri in files) if path.exists()]
    if not stores:
        return Finding("models", "right", f"Git holds {len(trained)}; there is no MLflow store here yet")
    registered = {identity for path in stores for identity in _registered(path)}
    missing = [model.title for identity, model in trained.items() if identity not in registered]
    if missing:
        text = f"Git holds {len(trained)}, and MLflow has no version of {some(missing)}. Audits count these too."
        return Finding("models", "unknown", text, "lineage verify --all")
    return Finding("models", "right", f"MLflow has a version of each of the {len(trained)} that Git holds")


def _registered(path: Path) -> set[str]:
    """The identities of the models that a file of MLflow has versions of."""
    import sqlite3

    question = (
        "SELECT tag.value FROM model_version_tags AS tag JOIN model_versions AS version USING (name, version) "
        "WHERE tag.key = 'model_identity' AND version.current_stage != 'Deleted_Internal'"
    )
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return {str(identity) for (identity,) in database.execute(question)}
