"""The consent registry of this moment, against which every stage that works with records is held."""

from __future__ import annotations

from pathlib import Path

from ..base.errors import ConsentError
from ..dvc.dvcfile import PARAMS_FILE, Pipeline, Stage
from ..git.anchor import main_root
from ..records.consent import active, read_snapshot
from ..settings import Settings
from .composition import committed_params
from .reproduction import Reproduction


def read_now(settings: Settings) -> dict[str, str]:
    """Status by subject, as the registry says at this moment. Raises a ProjectError if it cannot be read.

    In a folder of `lineage reproduce` the snapshot of then takes its place; nothing is logged or registered from there.
    """
    reproduction = Reproduction.of(Path.cwd())
    if reproduction is not None and reproduction.consent is not None:
        return read_snapshot(reproduction.consent)
    from ..records.consent_registry import read_registry

    assert settings.privacy.registry is not None
    return {entry.subject_id: entry.status for entry in read_registry(settings.privacy.registry, main_root(Path.cwd()))}


def require_consent(root: Path, pipeline: Pipeline, stage: Stage, settings: Settings) -> None:
    """Raises ConsentError if a stage would work with records of a subject whose consent has ended since the snapshot.

    Only dvc knows the order of stages: `dvc repro --single-item` would go past the stage that reads the registry.
    """
    if settings.privacy.registry is None:
        _refuse_to_ask_nobody(root)
        return
    snapshot = settings.privacy.snapshot.path
    reader = pipeline.producer(snapshot)
    if reader is None or reader not in pipeline.upstream(stage):
        return
    if not (root / snapshot).exists():
        raise ConsentError(f"{snapshot} is missing, so nobody's consent is known. `dvc repro` reads the registry.")
    ended = active(read_snapshot(root / snapshot)) - active(read_now(settings))
    if ended:
        raise ConsentError(
            f"the consent of {len(ended)} subjects in {snapshot} is not active any more. `dvc repro` reads the "
            "registry and takes their records out."
        )


def _refuse_to_ask_nobody(root: Path) -> None:
    """Raises ConsentError if the last commit asks a consent registry: a composition forgets what was not said again."""
    if (committed_params(root).get("privacy") or {}).get("name") == "registry":
        raise ConsentError(
            f"the last commit asks a consent registry, {PARAMS_FILE} does not any more, so everybody's records would "
            "be used. Compose with privacy=registry, or set it in conf/config.yaml; to stop asking on purpose, commit "
            "params.yaml first."
        )
