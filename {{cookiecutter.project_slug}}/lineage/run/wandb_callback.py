"""The callback for Weights & Biases: the facts that the one for MLflow logs, under the same names."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..base.errors import SettingsError, TrackerError
from ..chain.facts import IN_JOB, NAMES, read_run_record
from ..contract import Role
from ..dvc.hashes import Content
from ..git.anchor import main_root
from ..settings import flatten
from ..tracking.wandb_run import WandbRun, allowed_mode, left_open, require_installed
from .callbacks import Callback, Execution
from .facts import Facts, counts_of, facts_at_end, facts_at_start, started_from, without_ids

MODES = ("offline", "online")
KINDS = {Role.DATASET: "dataset", Role.MODEL: "model"}  # what is logged as an artifact, and as which type


class WandbCallback(Callback):
    """Logs stage runs to W&B. The chain does not rest on it: where it fails, there is a warning, and the stage goes on.

    Facts are config (what a stage starts from) and summary (what it has made); numbers by epoch are its history;
    dataset and model are references by their DVC hash.
    """

    works_in_jobs = False  # a job installs requirements.lock, and W&B is not in it; nor has it the key

    def __init__(self, project: str, mode: str = "offline", entity: str | None = None) -> None:
        """Raises SettingsError where W&B is not installed."""
        if mode not in MODES:
            raise SettingsError(f"mode must be {' or '.join(MODES)}, not {mode!r}.")
        require_installed()
        self._project, self._mode, self._entity = project, mode, entity
        self._run: WandbRun | None = None

    def on_start(self, execution: Execution) -> None:
        mode = allowed_mode(self._mode)
        if mode == "disabled" or not execution.pipeline.works_with_records(execution.stage):
            return
        facts, run_id, stage = facts_at_start(execution), secrets.token_hex(8), execution.stage.name
        training = self._training(execution)
        # before it is opened: a kill at any moment leaves a run that is named
        execution.unfinished.begin(self._note, {"run_id": run_id, "later": left_open(mode, run_id)})
        with self._closed_if_it_fails(execution):
            self._run = WandbRun(
                main_root(execution.root),
                mode,
                project=self._project,
                entity=self._entity,
                run_id=run_id,
                run_name=" ".join(filter(None, (stage, facts.tags.get("dvc_exp_name")))),
                run_group=training.get("run_id") or run_id,
                run_job_type=stage,
            )
            trained = {f"training_{self.name}_run_id": training["run_id"]} if training else {}
            self._run.config({**flatten(facts.params), **facts.tags, **trained})
            for role in facts.contents.keys() & KINDS.keys():
                self._log_artifact(execution, role, facts, is_input=True)
            self.part(execution).update(run_id=run_id, mode=mode, **self._run.place, started_from=started_from(facts))

    def on_started(self, execution: Execution) -> None:
        self._add_to_config(execution, execution.runs_beside(self.name))

    def on_job(self, execution: Execution, facts: dict[str, str]) -> None:
        self._add_to_config(execution, {**facts, IN_JOB: "true"})

    def on_engine(self, execution: Execution, facts: dict[str, str]) -> None:
        self._add_to_config(execution, facts)

    def on_resumed(self, execution: Execution, facts: dict[str, str]) -> None:
        self._add_to_config(execution, facts)

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        if self._run is not None:
            with self._closed_if_it_fails(execution):
                self._run.metrics(values, step)

    def on_end(self, execution: Execution) -> None:
        if self._run is None:
            return
        with self._closed_if_it_fails(execution):
            facts = facts_at_end(execution)
            self._run.summary(facts.tags)
            if Role.DATASET in facts.contents:
                self._run.summary(counts_of(execution.root / facts.contents[Role.DATASET][0]))
            for role in facts.contents.keys() & KINDS.keys():
                self._log_artifact(execution, role, facts, is_input=False)
            self._end(execution, 0)

    def on_error(self, execution: Execution, error: BaseException) -> None:
        if self._run is None:
            execution.unfinished.end(self._note)
            return
        if self._run.is_over:
            raise TrackerError(f"its run {self._run.id} was closed as finished before the stage failed")
        with self._closed_if_it_fails(execution):
            self._run.summary({"error": without_ids(error)[:5000]})
            self._end(execution, 1)

    @property
    def _note(self) -> str:
        return f"run of {self.name}"

    def _add_to_config(self, execution: Execution, values: dict[str, str]) -> None:
        if self._run is not None:
            with self._closed_if_it_fails(execution):
                self._run.config(values)

    def _end(self, execution: Execution, exit_code: int) -> None:
        if self._run is not None:
            self._run.end(exit_code)
        execution.unfinished.end(self._note)

    @contextmanager
    def _closed_if_it_fails(self, execution: Execution) -> Iterator[None]:
        """Nobody calls a callback that has failed again: its run must not stay open, nor be taken for a whole one."""
        try:
            yield
        except Exception:
            with suppress(TrackerError):
                self._end(execution, 1)
            raise

    def _training(self, execution: Execution) -> dict[str, Any]:
        """What the training that a stage comes after kept of its run here; empty where there is none."""
        path = execution.pipeline.path(Role.RUN)
        if path not in execution.stage.deps:
            return {}
        record = read_run_record(execution.root / str(path))
        kept: dict[str, Any] = (record.get("callbacks") or {}).get(self.name) or {}
        return kept if kept.get("run_id") else {}

    def _log_artifact(self, execution: Execution, role: Role, facts: Facts, *, is_input: bool) -> None:
        assert self._run is not None
        path, content = facts.contents[role]
        settings = execution.settings
        named = settings.data.source.name if role is Role.DATASET else settings.tracking.model_name
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{KINDS[role]}-{named}")[:128]  # all that W&B allows
        self._run.artifact(name, KINDS[role], path, _metadata(role, content), is_input=is_input)


def _metadata(role: Role, content: Content) -> dict[str, Any]:
    md5_name, sha256_name = NAMES[role]
    names = {md5_name: content.md5, **({sha256_name: content.sha256} if sha256_name else {})}
    return {**names, "md5": content.md5, "size": content.size}
