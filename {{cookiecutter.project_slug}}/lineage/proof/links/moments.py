"""The training run and its clock: what MLflow says of when, held against the times of commits."""

from __future__ import annotations

from ...base.errors import LineageError
from ..case import ModelCase
from ..moments import contradictions, moment_of
from ..recompute import CheckResult
from ..result_commits import result_commits
from . import registry

BASE = "mlflow.source.git.commit"


def training_run(case: ModelCase) -> CheckResult:
    """The run, as `registry` proves it. Raises LineageError where its moments or the version's cannot be right."""
    result = registry.training_run(case)
    version, record = case.version, case.document["training_run"]
    run = case.evidence.store_at(record["tracking_uri"]).run(record["run_id"])
    if result.faults or version is None or run is None:
        return result
    times, holding = case.history.times, result_commits(case.history, case.identity, str(record["md5"]))
    first = min((times[commit] for commit in holding if commit in times), default=None)
    bases = (version.tags.get(BASE), (record.get("started_from") or {}).get(BASE))
    faults = contradictions(
        times,
        bases,
        started=moment_of(run.info.start_time),
        registered=moment_of(version.creation_timestamp),
        committed=None if first is None else moment_of(first * 1000),
    )
    if faults:
        raise LineageError(f"{'; '.join(faults)}. Nobody can say when it was made.")
    return result
