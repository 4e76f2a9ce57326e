"""The link between clocks: what MLflow says of when, held against the times of commits."""

from __future__ import annotations

from ...errors import LineageError
from ..case import Case
from ..moments import contradictions, moment_of
from ..recompute import Tally

BASE = "mlflow.source.git.commit"


def moments(case: Case) -> Tally:
    """Raises LineageError where the moments of version and training run cannot be right: then nobody knows when."""
    version, model = case.version, case.evidence.git_models.models.get(case.identity)
    assert version is not None
    record = case.document["training_run"]
    run_id, uri = record.get("run_id"), record.get("tracking_uri")
    run = case.evidence.store_at(uri).run(run_id) if run_id and uri else None
    started = moment_of(run.info.start_time) if run else None
    registered, committed = moment_of(version.creation_timestamp), model.first if model else None
    bases = (version.tags.get(BASE), (record.get("started_from") or {}).get(BASE))
    faults = contradictions(case.history.times, bases, started=started, registered=registered, committed=committed)
    if faults:
        raise LineageError(f"{'; '.join(faults)}. Nobody can say when it was made.")
    tally = Tally()
    tally.looked_at = sum(moment is not None for moment in (started, registered, committed))
    return tally
