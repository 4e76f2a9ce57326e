"""The definition of a pipeline, made by what sends a single stage: the SDK asks for jobs, and starts none."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....base.env import PIPELINE_EXECUTION, PIPELINE_SETTING
from ....base.errors import DispatchError
from ....base.translated import translate_errors
from ....contract import Role
from ....dvc.hashes import hash_file
from ...snapshot import Snapshot, require_inside
from .. import checkpoints
from ..aws import Aws
from ..jobs import Order
from ..processing_jobs import ProcessingJob, SparkJob
from ..spec import SageMakerSpec
from ..training_jobs import TrainingJob
from . import gate, lineage_step
from .inside import SCORES
from .parameters import Parameters
from .plan import Plan, PlannedStep
from .validation import validate

LONGEST_NAME = 63  # of a job; the SDK cuts what it adds, which is the time
RECORD = "RecordLineage"


@dataclass(frozen=True)
class Packed:
    """What the job of a step gets, in a folder here and below an S3 address that is named by what it holds."""

    step: PlannedStep
    folder: Path
    sha256: str
    address: str


def define(plan: Plan, parameters: Parameters, aws: Aws) -> str:
    """The definition as JSON; the same text for the same commit. What its jobs need goes to where `aws` leads.

    Raises DispatchError if it is not as SageMaker takes it.
    """
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        packed = _pack(plan, aws, Path(scratch))
        with translate_errors(DispatchError, "the pipeline cannot be defined", passed_on=DispatchError):
            document = json.loads(_Definition(plan, parameters, aws).text(packed))
    validate(document)
    return json.dumps(document, indent=2) + "\n"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the SDK says of each step: that nothing is started, and where it looks for what."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logging.disable(before)
        logging.root.setLevel(logging.WARNING)  # the SDK has made everybody talk


def _pack(plan: Plan, aws: Aws, scratch: Path) -> list[Packed]:
    snapshot = None if plan.git else Snapshot(plan.root, plan.pipeline)  # what is cloned is named in the spec
    files = {name: hash_file(plan.root / name, name).sha256 for name in snapshot.names} if snapshot else {}
    found = []
    for step in plan.steps:
        for name in step.parcel.locks:
            require_inside(plan.root, name)
        folder = scratch / step.name
        folder.mkdir()
        step.parcel.pack(folder, snapshot, _spec(plan, step, aws))
        # an archive holds times: what is in it is named, not its bytes
        beside = {path.name: hash_file(path, path.name).sha256 for path in folder.iterdir() if path.suffix != ".gz"}
        sha256 = hashlib.sha256(json.dumps([files, beside], sort_keys=True).encode()).hexdigest()
        address = aws.address("pipelines", "code", sha256)
        aws.upload(folder, address)
        found.append(Packed(step, folder, sha256, address))
    return found


def _spec(plan: Plan, step: PlannedStep, aws: Aws) -> SageMakerSpec:
    scores = plan.pipeline.path(Role.SCORES)
    of_pipeline = {
        "executions": executions_address(plan, aws),
        "earlier": list(step.earlier),
        "made": {dep: maker.name for dep in step.stage.deps if (maker := _step_of(plan, dep))},
        "settings": list(plan.backend.pipeline.parameters),
        "scores": scores if scores in step.stage.outs else None,
    }
    given = {"inputs": step.inputs, "callbacks": {}, "report": "", "started_from": plan.started_from}
    kept = checkpoints.FOLDER if step.parcel.resumes else None
    return step.parcel.spec(aws, pipeline=of_pipeline, git=plan.git, checkpoints=kept, **given)


def _step_of(plan: Plan, dep: str) -> Any:
    maker = plan.pipeline.producer(dep)
    return maker if maker is not None and maker.name in {step.stage.name for step in plan.steps} else None


def executions_address(plan: Plan, aws: Aws) -> str:
    """Below this S3 address each execution has a folder, named by its id, with what its steps report."""
    return aws.address("pipelines", plan.name)


class _Definition:
    """The steps, as the SDK makes them of what a single job is asked for with."""

    def __init__(self, plan: Plan, parameters: Parameters, aws: Aws) -> None:
        from sagemaker.core.workflow.execution_variables import ExecutionVariables
        from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString

        kinds: dict[str, Any] = {"String": ParameterString, "Integer": ParameterInteger, "Float": ParameterFloat}
        self._plan, self._given, self._aws = plan, parameters, aws
        self._session = aws.sagemaker_session(of_pipelines=True)
        self._id = ExecutionVariables.PIPELINE_EXECUTION_ID
        self._parameters = {
            each.name: kinds[each.kind](name=each.name, default_value=each.default)
            if each.kind in kinds
            else _boolean(each.name, bool(each.default))
            for each in parameters.all
        }
        self._files: list[Any] = []  # the property files of the step that makes the scores

    def text(self, packed: list[Packed]) -> str:
        """The whole definition, as the SDK writes it."""
        from sagemaker.mlops.workflow.pipeline import Pipeline

        steps: dict[str, Any] = {}
        for each in packed:
            steps[each.step.stage.name] = self._step(each, [steps[name] for name in each.step.earlier])
        last = self._last(list(steps.values()))
        made = Pipeline(
            name=self._plan.name,
            parameters=list(self._parameters.values()),
            steps=[*steps.values(), *last],
            sagemaker_session=self._session,
            pipeline_experiment_config=None,
        )
        return str(made.definition())

    def _step(self, packed: Packed, depends_on: list[Any]) -> Any:
        from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep

        parcel = packed.step.parcel
        order = Order(
            session=self._session,
            base=_base_name(self._plan.name, packed.step.name, packed.sha256),
            folder=packed.folder,
            address=packed.address,
            instance_type=self._parameters[self._given.instance_type(parcel.kind).name],
            environment=self._environment(),
            checkpoints=self._checkpoints(packed.step),
            outputs=self._outputs(packed.step),
        )
        common = {"name": packed.step.name, "depends_on": depends_on or None}
        if parcel.kind == "training":
            return TrainingStep(step_args=TrainingJob.trainer(self._aws, order).train(wait=False, logs=False), **common)
        kind = SparkJob if parcel.kind == "spark" else ProcessingJob
        processor, given = kind.processor(self._aws, order)
        files = self._files if order.outputs else None
        return ProcessingStep(step_args=processor.run(**given), property_files=files, **common)

    def _environment(self) -> dict[str, Any]:
        from sagemaker.core.workflow.functions import Join

        settings = {
            f"{PIPELINE_SETTING}{number}": Join(on="=", values=[each.of, self._parameters[each.name]])
            for number, each in enumerate(self._given.settings)
        }
        return {PIPELINE_EXECUTION: self._id, **settings}

    def _checkpoints(self, step: PlannedStep) -> Any:
        from sagemaker.core.workflow.functions import Join

        if not step.parcel.resumes:
            return None
        return Join(on="/", values=checkpoints.parts_for_step(self._aws, self._id, step.name))

    def _outputs(self, step: PlannedStep) -> list[Any] | None:
        """The scores, where a condition reads them: what goes through the DVC remote is named by its hash."""
        scores = self._plan.pipeline.path(Role.SCORES)
        if scores not in step.stage.outs or not self._given.is_gated:
            return None
        from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
        from sagemaker.core.workflow.functions import Join
        from sagemaker.core.workflow.properties import PropertyFile

        if step.parcel.kind == "training":
            raise DispatchError(f"{step.stage.name} trains and makes the scores: a gate needs a stage of their own.")
        self._files = [PropertyFile(name=gate.PROPERTIES, output_name="scores", path=Path(str(scores)).name)]
        place = Join(on="/", values=[executions_address(self._plan, self._aws), self._id, "scores"])
        target = ProcessingS3Output(s3_uri=place, local_path=str(SCORES), s3_upload_mode="EndOfJob")
        return [ProcessingOutput(output_name="scores", s3_output=target)]

    def _last(self, steps: list[Any]) -> list[Any]:
        """The gate, if promotion.thresholds says what is good enough; and behind it, what SageMaker keeps of it all."""
        record = lineage_step.step(RECORD, self._plan, self._session, executions_address(self._plan, self._aws))
        if not self._given.is_gated:
            record.add_depends_on(steps)
            return [record]
        return [gate.step(self._plan, self._given, self._parameters, steps, record)]


def _boolean(name: str, default: bool) -> Any:
    from sagemaker.core.workflow.parameters import ParameterBoolean

    return ParameterBoolean(name=name, default_value=default)


def _base_name(pipeline: str, stage: str, sha256: str) -> str:
    """So long that nothing of the time is left in the addresses that the SDK makes of it."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{pipeline[:15]}-{stage}")[:35]
    return f"{readable}-{sha256}"[:LONGEST_NAME]
