"""SageMaker jobs: what is asked for, and how they are watched and stopped."""

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

if TYPE_CHECKING:
    from sagemaker.core.utils.logs import MultiLogStreamHandler

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
    checkpoints: Any = None  # where on S3 a Training job keeps them; None if it keeps none
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
