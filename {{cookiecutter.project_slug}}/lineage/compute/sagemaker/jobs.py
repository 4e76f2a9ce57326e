"""SageMaker jobs: how they are watched and stopped, and how those of training are started."""

from __future__ import annotations

import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import DispatchError
from ...base.translated import translate_errors
from .aws import Aws
from .warm_pools import pool_of

if TYPE_CHECKING:
    from sagemaker.core.utils.logs import MultiLogStreamHandler

FOLDER = "/opt/ml/checkpoints"  # of a job, which SageMaker keeps in S3
POLL = 2.0  # seconds between two looks at a job
ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class Order:
    """A job that is asked for: one that is started now, or a step of a pipeline."""

    session: Any  # the SDK's
    base: str  # the beginning of its name
    folder: Path  # launch.py, and all that it needs
    address: str = ""  # where that lies on S3, for a Processing job
    instance_type: Any = None  # a parameter of a pipeline; None takes that of the settings
    environment: dict[str, Any] | None = None
    checkpoints: str | None = None  # where on S3 a Training job keeps them
    outputs: list[Any] | None = None  # what a Processing job brings beside what goes through DVC


class Job(ABC):
    """One job, from its start on. Raises DispatchError where AWS refuses or cannot be reached."""

    kind: str  # as in the names of logs, and in what AWS answers

    def __init__(self, aws: Aws, name: str, image: str, instance_type: str) -> None:
        self._aws = aws
        self.name = name
        self.image = image
        self.instance_type = instance_type
        self.seen: dict[str, Any] = {}
        self.refresh()

    def refresh(self) -> None:
        """Asks how the job is; `status` says it then."""
        with translate_errors(DispatchError, f"could not look at job {self.name}"):
            self.seen = self._describe(self._aws.client("sagemaker"))

    @abstractmethod
    def _describe(self, client: Any) -> dict[str, Any]:
        """What AWS says of it."""

    @abstractmethod
    def _stop(self, client: Any) -> None:
        """Asks AWS to stop it."""

    @staticmethod
    @abstractmethod
    def names(client: Any, base: str) -> list[str]:
        """The names of the jobs of this kind that hold `base`."""

    @property
    def status(self) -> str:
        """InProgress, Stopping, Completed, Failed or Stopped."""
        return str(self.seen[f"{self.kind}JobStatus"])

    @property
    def failure(self) -> str:
        """Why it failed, as the job or the service says; empty if it did not."""
        return str(self.seen.get("FailureReason") or self.seen.get("ExitMessage") or "")

    @property
    @abstractmethod
    def instances(self) -> int:
        """On how many instances it runs; each has a log of its own."""

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the job, under the names that the stage run gets as tags."""
        facts = {
            **self.more_facts(),
            "sagemaker_job_name": self.name,
            "sagemaker_job_arn": str(self.seen[f"{self.kind}JobArn"]),
            "sagemaker_image": self.image,
            "sagemaker_instance_type": self.instance_type,
        }
        billed = self.billable_seconds()
        return facts if billed is None else {**facts, "sagemaker_billable_seconds": str(billed)}

    def more_facts(self) -> dict[str, str]:
        """What is known of a job of this kind beside that."""
        return {}

    @property
    def aftermath(self) -> str:
        """What goes on costing something after it has ended, in a sentence; empty if nothing does."""
        return ""

    @property
    def interruptions(self) -> int:
        """How often its instances were taken away."""
        return 0

    @abstractmethod
    def billable_seconds(self) -> int | None:
        """What the job costs, in seconds of its instance; None while it goes on."""

    def follow(self, check: Callable[[], None]) -> Iterator[str]:
        """The lines of the job's log while they come, until the job has ended. `check` may raise to end it early."""
        from sagemaker.core.utils.logs import MultiLogStreamHandler

        group = f"/aws/sagemaker/{self.kind}Jobs"
        stream, told = MultiLogStreamHandler(group, self.name, self.instances), 0
        while True:
            check()
            self.refresh()
            ended = self.status in ENDED  # asked before the lines, so that the last ones are not missed
            if self.interruptions > told:
                told = self.interruptions
                yield f"its instances were taken away ({told}): it goes on after its last checkpoint, on new ones"
            with translate_errors(DispatchError, f"could not read the log of job {self.name}"):
                if told:
                    _add_new(stream, self.instances * (1 + told))
                if ended:
                    stream.expected_stream_count = 1  # of an instance that never wrote there is no log
                events = list(stream.get_latest_log_events())
            # such as JOB/algo-2-1700000000
            hosts = [re.sub(r".*/|-\d+$", "", name) for name, _ in events]
            for host, (_, event) in zip(hosts, events, strict=True):
                yield event["message"] if self.instances == 1 else f"[{host}] {event['message']}"
            if ended:
                return
            time.sleep(POLL)  # between two looks

    def stop(self) -> None:
        """Asks the service to stop the job."""
        with translate_errors(DispatchError, f"could not stop job {self.name}"):
            self._stop(self._aws.client("sagemaker"))


class TrainingJob(Job):
    """A job of ModelTrainer."""

    kind = "Training"

    def _describe(self, client: Any) -> dict[str, Any]:
        return dict(client.describe_training_job(TrainingJobName=self.name))

    def _stop(self, client: Any) -> None:
        client.stop_training_job(TrainingJobName=self.name)

    @staticmethod
    def names(client: Any, base: str) -> list[str]:
        found = client.list_training_jobs(NameContains=base)["TrainingJobSummaries"]
        return [str(summary["TrainingJobName"]) for summary in found]

    @classmethod
    def start(cls, aws: Aws, base: str, folder: Path, checkpoints: str | None = None) -> TrainingJob:
        """Starts launch.py, which lies in `folder` with all that it needs, in a Training job.

        Its checkpoints are kept at the S3 address `checkpoints`.
        """
        wanted = aws.settings.training
        with translate_errors(DispatchError, "could not start a Training job"):
            trainer = cls.trainer(aws, Order(aws.sagemaker_session(), base, folder, checkpoints=checkpoints))
            trainer.train(wait=False, logs=False)
        # private, and the only way to learn the name: the SDK's version is pinned
        name = trainer._latest_training_job.training_job_name
        return cls(aws, name, aws.image(wanted.instance_type), wanted.instance_type)

    @staticmethod
    def trainer(aws: Aws, order: Order) -> Any:
        """What the SDK asks for a Training job with."""
        from sagemaker.core.shapes import OutputDataConfig, StoppingCondition, Tag
        from sagemaker.train import ModelTrainer
        from sagemaker.train.configs import CheckpointConfig, Compute, Networking, SourceCode

        settings, wanted = aws.settings, aws.settings.training
        image = aws.image(wanted.instance_type)
        seconds = {"max_runtime_in_seconds": wanted.max_minutes * 60}
        if wanted.spot:
            seconds["max_wait_time_in_seconds"] = wanted.max_wait_minutes * 60
        output = {"kms_key_id": settings.kms.output} if settings.kms.output else {}
        compute: dict[str, Any] = {
            "instance_type": order.instance_type or wanted.instance_type,
            "instance_count": wanted.instance_count,
            "volume_size_in_gb": wanted.volume_gb,
            "enable_managed_spot_training": wanted.spot,
        }
        if settings.kms.volume:
            compute["volume_kms_key_id"] = settings.kms.volume
        if wanted.warm_pool_minutes:
            compute["keep_alive_period_in_seconds"] = wanted.warm_pool_minutes * 60
        network = settings.network
        networking = (
            Networking(
                subnets=network.subnets,
                security_group_ids=network.security_groups,
                enable_inter_container_traffic_encryption=network.encrypt_between_instances,
            )
            if network.subnets
            else None
        )
        return ModelTrainer(
            sagemaker_session=order.session,
            role=settings.role,
            base_job_name=order.base,
            training_image=image,
            # exec: else SIGTERM, before an instance is taken away, reaches the shell alone
            source_code=SourceCode(source_dir=str(order.folder), command="exec python3 launch.py ."),
            compute=Compute(**compute),
            stopping_condition=StoppingCondition(**seconds),
            output_data_config=OutputDataConfig(s3_output_path=aws.address("output"), **output),
            networking=networking,
            checkpoint_config=CheckpointConfig(s3_uri=order.checkpoints, local_path=FOLDER)
            if order.checkpoints
            else None,
            tags=[Tag(key=key, value=value) for key, value in aws.tags.items()],
            **({"environment": order.environment} if order.environment else {}),
        )

    @property
    def instances(self) -> int:
        return int((self.seen.get("ResourceConfig") or {}).get("InstanceCount") or 1)

    def billable_seconds(self) -> int | None:
        return self.seen.get("BillableTimeInSeconds")

    @property
    def interruptions(self) -> int:
        passed = self.seen.get("SecondaryStatusTransitions") or []
        return sum(state.get("Status") == "Interrupted" for state in passed)

    def more_facts(self) -> dict[str, str]:
        facts: dict[str, str] = {}
        if pool := pool_of(self.seen):
            facts = {"sagemaker_warm_pool": pool.status, "sagemaker_warm_pool_minutes": str(pool.minutes)}
        if self.seen.get("EnableManagedSpotTraining"):
            facts |= {"sagemaker_spot": "true", "sagemaker_interruptions": str(self.interruptions)}
            worked = self.seen.get("TrainingTimeInSeconds")
            facts |= {} if worked is None else {"sagemaker_training_seconds": str(worked)}
        return facts

    @property
    def aftermath(self) -> str:
        pool = pool_of(self.seen)
        if pool is None or pool.status in ("Terminated", "Reused"):
            return ""
        return f"{pool.text}. `lineage aws warm-pools --end` gives them back."


def _add_new(stream: MultiLogStreamHandler, expected: int) -> None:
    """Lets `stream` read the logs of new instances too, once there are `expected` of them; the SDK looks once."""
    from sagemaker.core.utils.logs import MultiLogStreamHandler

    if len(stream.streams) >= expected:
        return
    now = MultiLogStreamHandler(stream.log_group_name, stream.log_stream_name_prefix, expected)
    if now.ready():
        known = {one.log_stream_name: one for one in stream.streams}  # each knows up to where it was read
        stream.streams = [known.get(one.log_stream_name, one) for one in now.streams]


def base_name(prefix: str, stage: str) -> str:
    """The beginning of a job's name. The SDK adds the time in seconds, and two jobs may start in one."""
    return f"{readable(prefix)}-{stage}-{secrets.token_hex(3)}"


def readable(prefix: str) -> str:
    """What the names of all jobs of a project begin with."""
    return re.sub(r"[^A-Za-z0-9]+", "-", prefix)[:20].strip("-") or "job"


def was_refused(error: BaseException) -> bool:
    """Whether AWS itself said no before a job was accepted: then there is none."""
    from botocore.exceptions import ClientError

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ClientError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or cause.operation_name.startswith("Describe"):
        return False
    return 400 <= int(cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0) < 500
