"""What one run rests on: what it says, what it has logged, and what Git holds of its result."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import psutil

from ..chain.facts import IN_JOB, ROLE
from ..contract import Role
from ..dvc.dvcfile import Pipeline, read_pipeline
from ..proof.moments import contradictions, moment_of
from ..tracking.store import Store
from ..tracking.tracker import source_tags
from .ancestors import Ancestors
from .holdings import BASE, Holdings, inputs_of
from .use import Use

if TYPE_CHECKING:
    from mlflow.entities import Run

WITH_RECORDS = (Role.DATASET, Role.MODEL, Role.SCORES)  # what is made by stages that read records and say which
ROLES: dict[str | None, Role] = {role.value: role for role in Role}
ENDED_WITHOUT_MODEL = ("FAILED", "KILLED")
GOING_ON = "it is still going on; if nobody follows it, `lineage jobs` closes it where it was begun"


class Runs:
    """The runs of this project, and those that may be."""

    def __init__(self, holdings: Holdings, ancestors: Ancestors) -> None:
        self._holdings = holdings
        self._ancestors = ancestors

    def own(self, store: Store, run: Run) -> Use | None:
        """A run that is marked as this project's; None if its stage does not work with records."""
        tags, logged = run.data.tags, inputs_of(run)  # each is asked once: there are thousands of runs
        use = _use_of(run)
        if use.role is Role.CHAIN and self._is_known(tags, logged):  # it handles records by hash
            return None
        use.root = tags.get("subjects_root")
        claimed = tags.get("dvc_data_md5")
        use.datasets = logged | {claimed} if claimed else logged
        if use.role not in WITH_RECORDS:
            use.datasets |= self._holdings.whose[store.uri].read_by(run)
            if not use.datasets and self._is_without_records(use.stage):
                return None
        if record := tags.get("dvc_run_md5"):
            for model in self._holdings.git.by_run_record.get(record, []):
                use.add_git(model)
        self._compare_moments(use, tags.get(BASE))
        has_failed = use.state in ENDED_WITHOUT_MODEL or (use.state == "RUNNING" and _was_killed(tags))
        if has_failed and (use.role not in (Role.MODEL, None) or not tags.get("dvc_model_md5")):
            use.left_no_model = True
            return use
        if has_failed:
            use.unknown.append(f"it has left a model, and its state is {use.state.lower()}")
        elif use.state != "FINISHED":
            use.unknown.append(GOING_ON)
        elif not claimed and (use.role in WITH_RECORDS or not use.datasets):
            use.unknown.append("it does not say which dataset version it worked with")
        elif use.role in (Role.MODEL, Role.SCORES) and logged != {claimed}:
            use.unknown.append(f"its tag says {claimed}, its logged input {', '.join(sorted(logged)) or 'nothing'}")
        self._ancestors.add_to(use, tags)
        return use

    def stranger(self, store: Store, run: Run) -> Use:
        """A run of the project's experiments without its mark, or one of others that has read its data."""
        use = _use_of(run)
        use.datasets = self._holdings.whose[store.uri].read_by(run)
        if use.state in ENDED_WITHOUT_MODEL:
            use.left_no_model = True
        elif use.state != "FINISHED":
            use.unknown.append(GOING_ON)
        elif not use.datasets:
            use.unknown.append(
                "it is in this project's experiment, and does not say what it is or which records it read"
            )
        return use

    def _compare_moments(self, use: Use, base: str | None) -> None:
        """Notes what cannot be right about its moments; `base` is the commit that the run started from."""
        if base or use.committed:
            committed = use.committed if use.role is Role.MODEL else None
            times, bases = self._holdings.evidence.history.times, (base, *self._holdings.bases(use))
            use.contradictions = contradictions(times, bases, started=use.started, committed=committed)

    def _is_known(self, tags: dict[str, str], logged: set[str]) -> bool:
        """Whether a run of registration handled a model that is looked at anyway, and read no other dataset."""
        record, read = tags.get("dvc_run_md5"), {*logged, *filter(None, [tags.get("dvc_data_md5")])}
        if not record:
            return False
        known = set().union(*(model.datasets for model in self._holdings.git.by_run_record.get(record, [])))
        return read <= known | self._registered_records.get(record, set())

    @cached_property
    def _registered_records(self) -> dict[str | None, set[str]]:
        """The dataset versions of the registered versions, by the hash of what their training wrote down."""
        found: dict[str | None, set[str]] = {}
        for version in (version for store in self._holdings.stores.asked for version in store.versions):
            found.setdefault(version.tags.get("dvc_run_md5"), set()).add(version.tags.get("dvc_data_md5", ""))
        return found

    def _is_without_records(self, name: str) -> bool:
        """Whether dvc.yaml has this stage and gives it no records."""
        stages = {stage.module: stage for stage in self._pipeline.stages.values()}
        return name in stages and not self._pipeline.works_with_records(stages[name])

    @cached_property
    def _pipeline(self) -> Pipeline:
        return read_pipeline(self._holdings.evidence.root)


def _use_of(run: Run) -> Use:
    info, tags = run.info, run.data.tags
    role, stage = ROLES.get(tags.get(ROLE)), tags.get("dvc_stage") or "no stage"
    use = Use("run", info.run_id, stage, role, info.run_id, state=info.status)
    use.started, use.ended = moment_of(info.start_time), moment_of(info.end_time)
    use.is_deleted = info.lifecycle_stage != "active"
    return use


def _was_killed(tags: dict[str, str]) -> bool:
    """Whether a run that nobody has closed can be going on no more: its process on this machine is gone."""
    if IN_JOB in tags or tags.get("host") != source_tags()["host"]:
        return False
    return not psutil.pid_exists(int(tags.get("pid") or 0))
