"""The runs of a database that MLflow opens itself, listed without their parameters and metrics.

MLflow's own listing makes an object of each parameter, metric and tag: 4 ms of CPU a run. Most questions are about tags
and datasets. These are read here, from MLflow's own tables; the rest is listed by MLflow when somebody asks for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Run, RunData, RunInfo, RunInputs
from mlflow.store.tracking.dbmodels.models import SqlDataset, SqlInput, SqlInputTag, SqlRun, SqlTag
from sqlalchemy import select

if TYPE_CHECKING:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import Select

PROJECT = "project_id"  # tag of a run
RUN = "RUN"  # the type of what has an input, as MLflow writes it
NAME = "mlflow.runName"

Whole = Callable[[str], RunData]


class ListedData(RunData):  # type: ignore[misc]
    """The tags of a run; parameters and metrics when they are asked for."""

    def __init__(self, run_id: str, tags: dict[str, str], whole: Whole) -> None:
        self._run_id = run_id
        self._tags = tags
        self._whole = whole

    @property
    def metrics(self) -> dict[str, float]:
        return dict(self._whole(self._run_id).metrics)

    @property
    def params(self) -> dict[str, str]:
        return dict(self._whole(self._run_id).params)


def list_runs(
    store: SqlAlchemyStore, experiments: Sequence[str], project_id: str | None, whole: Whole
) -> dict[str, Run]:
    """The runs of some experiments that are marked as a project's, or as none's, by id; deleted ones too.

    In the order of MLflow's own listing. `whole` gives parameters and metrics of one of them.
    """
    marked = select(SqlTag.run_uuid).where(SqlTag.key == PROJECT, SqlTag.value.is_not(None))
    if project_id is not None:
        marked = marked.where(SqlTag.value == project_id)
    is_wanted = SqlRun.run_uuid.in_(marked) if project_id is not None else SqlRun.run_uuid.not_in(marked)
    wanted = select(SqlRun.run_uuid).where(SqlRun.experiment_id.in_(map(int, experiments)), is_wanted)
    with store.ManagedSessionMaker() as session:
        rows = session.execute(_runs(wanted)).all()
        tags, inputs = _tags(session, wanted), _inputs(session, wanted)
    found = {}
    for run_id, name, experiment, user, status, start, end, stage, artifacts in rows:
        its = tags[run_id]
        if its.get(PROJECT) == project_id:  # databases compare in ways of their own
            info = RunInfo(
                run_id, str(experiment), user, status, start, end, stage, artifacts, run_name=name or its.get(NAME)
            )
            found[run_id] = Run(info, ListedData(run_id, its, whole), RunInputs(dataset_inputs=inputs.get(run_id, [])))
    return found


def _runs(wanted: Select[Any]) -> Select[Any]:
    columns = (
        SqlRun.run_uuid,
        SqlRun.name,
        SqlRun.experiment_id,
        SqlRun.user_id,
        SqlRun.status,
        SqlRun.start_time,
        SqlRun.end_time,
        SqlRun.lifecycle_stage,
        SqlRun.artifact_uri,
    )
    return select(*columns).where(SqlRun.run_uuid.in_(wanted)).order_by(SqlRun.start_time.desc(), SqlRun.run_uuid)


def _tags(session: Any, wanted: Select[Any]) -> dict[str, dict[str, str]]:
    found = defaultdict[str, dict[str, str]](dict)
    asked = select(SqlTag.run_uuid, SqlTag.key, SqlTag.value).where(SqlTag.run_uuid.in_(wanted))
    for run_id, key, value in session.execute(asked):
        found[run_id][key] = value
    return found


def _inputs(session: Any, wanted: Select[Any]) -> dict[str, list[DatasetInput]]:
    """The datasets that runs have read, each with the tags of the reading."""
    asked = (
        select(SqlInput.destination_id, SqlInput.source_id, SqlInputTag.name, SqlInputTag.value)
        .outerjoin(SqlInputTag, SqlInputTag.input_uuid == SqlInput.input_uuid)
        .where(SqlInput.destination_type == RUN, SqlInput.destination_id.in_(wanted))
    )
    rows = session.execute(asked).all()
    read = select(SqlInput.source_id).where(SqlInput.destination_type == RUN, SqlInput.destination_id.in_(wanted))
    named = select(SqlDataset).where(SqlDataset.dataset_uuid.in_(read))
    datasets: dict[str, Dataset] = {each.dataset_uuid: each.to_mlflow_entity() for each in session.scalars(named)}
    found: dict[str, dict[str, DatasetInput]] = {}
    for run_id, source, key, value in rows:
        if source in datasets:
            its = found.setdefault(run_id, {})
            entry = its.setdefault(source, DatasetInput(datasets[source], tags=[]))
            if key is not None:
                entry.tags.append(InputTag(key, value))
    return {run_id: list(its.values()) for run_id, its in found.items()}
