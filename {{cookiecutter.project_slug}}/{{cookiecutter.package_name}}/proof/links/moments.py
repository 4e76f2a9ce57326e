"""The training run and its clock: what MLflow says of when, held against the times of commits."""

from __future__ import annotations

from ...errors import LineageError
from ..case import Case
from ..moments import contradictions, moment_of
from ..recompute import Tally
from . import registry

BASE = "mlflow.source.git.commit"


def training_run(case: Case) -> Tally:
    """The run, as `registry` proves it. Raises LineageError where its moments or the version's cannot be right."""
    tally = registry.training_run(case)
    version, record = case.version, case.document["training_run"]
    model = case.evidence.git_models.models.get(case.identity)
    run = case.evidence.store_at(record["tracking_uri"]).run(record["run_id"])
    if tally.faults or version is None or run is None:
        return tally
    bases = (version.tags.get(BASE), (record.get("started_from") or {}).get(BASE))
    faults = contradictions(
        case.history.times,
        bases,
        started=moment_of(run.info.start_time),
        registered=moment_of(version.creation_timestamp),
        committed=model.first if model else None,
    )
    if faults:
        raise LineageError(f"{'; '.join(faults)}. Nobody can say when it was made.")
    return tally
