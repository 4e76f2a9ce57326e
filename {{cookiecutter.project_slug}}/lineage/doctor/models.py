"""Whether MLflow knows the models that Git holds."""

from __future__ import annotations

from pathlib import Path

from ..base.errors import TrackerError
from ..base.finding import Finding
from ..base.printable import some
from ..dvc.dvcfile import PARAMS_FILE
from ..git.anchor import main_root
from ..settings import load_settings
from ..tracking.address import SQLITE, absolute_uri
from .registry import registry_at


def check_models(root: Path) -> Finding:
    """Whether MLflow has a version of every model that Git holds: at `tracking.uri`, or in a file of this clone."""
    from ..git.history import History
    from ..proof.git_models import GitModels

    held = GitModels(History(root), root)
    trained = {identity: model for identity, model in held.models.items() if model.is_trained}
    if held.unreadable:
        return Finding("models", "unknown", f"{held.unreadable[0]}.")
    settings, main = load_settings(root / PARAMS_FILE), main_root(root)
    here = settings.tracking.uri
    uris = {absolute_uri(uri, main) for uri in (here, *held.uris) if uri == here or uri.startswith(SQLITE)}
    registries = [registry for uri in sorted(uris) if (registry := registry_at(uri)) is not None]
    if not registries and here.startswith(SQLITE):
        return Finding("models", "right", f"Git holds {len(trained)}; there is no MLflow store here yet")
    try:
        registered = {identity for registry in registries for identity in registry.identities(settings.project_id)}
    except TrackerError as error:
        return Finding("models", "unknown", f"Git holds {len(trained)}; which MLflow has is unknown: {error}")
    missing = [model.title for identity, model in trained.items() if identity not in registered]
    if missing:
        text = f"Git holds {len(trained)}, and MLflow has no version of {some(missing)}. Audits count these too."
        return Finding("models", "unknown", text, "lineage verify --all")
    return Finding("models", "right", f"MLflow has a version of each of the {len(trained)} that Git holds")
