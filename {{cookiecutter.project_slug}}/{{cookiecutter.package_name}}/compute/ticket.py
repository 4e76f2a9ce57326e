"""What a job is told about itself, and what it reports: two JSON files that travel with the code and back."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..env import PIPELINE_KEPT, PIPELINE_TICKET
from ..errors import DispatchError
from ..lineage.packages import LOCK, locked
from .launch import WORK

FILE = "ticket.json"


@dataclass(frozen=True)
class Ticket:
    """Everything that a job cannot know by itself. Holds no secret."""

    stage: str
    package: str
    inputs: dict[str, str]  # hash by path, of what the job pulls from the DVC remote
    outputs: list[str]
    remote: dict[str, str]  # name, url, and where S3 is if not at AWS
    report: str  # S3 address that the report goes to
    install: str
    git: dict[str, str | None] | None  # what to clone, and with which credentials; None if the project is packed
    secret: str | None
    run: dict[str, Any]  # the stage run that was opened for this execution; empty if nobody keeps runs

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Ticket:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def ticket_of_this_job() -> Ticket | None:
    """The ticket, where this process is part of a job; else None.

    Raises DispatchError if the variable is set where launch.py has not put the project: a job asks nobody for consent.
    """
    path = os.environ.get(PIPELINE_TICKET)
    if not path:
        return None
    if not Path.cwd().is_relative_to(WORK.resolve()):
        raise DispatchError(f"{PIPELINE_TICKET} is set, and this is no job. Unset it, then run this again.")
    return Ticket.read(Path(path))


def job_of_this_process(root: Path) -> dict[str, Any]:
    """Name and ARN of the SageMaker job that this process is part of; empty outside of jobs.

    `kept` are the torch packages that the image brought in other versions than the lock in `root` asks for.
    """
    config = Path("/opt/ml/config/processingjobconfig.json")
    if config.exists():
        described = json.loads(config.read_text(encoding="utf-8"))
        job = {"name": described["ProcessingJobName"], "arn": described["ProcessingJobArn"]}
    elif name := os.environ.get("TRAINING_JOB_NAME"):
        job = {"name": name, "arn": os.environ.get("TRAINING_JOB_ARN", "unknown")}
    else:
        return {}
    asked = locked(root / LOCK)
    brought: dict[str, str] = json.loads(os.environ.get(PIPELINE_KEPT) or "{}")
    # a lock without a local part (+cpu, +cu130) admits any
    kept = {name: version for name, version in brought.items() if version.partition("+")[0] != asked.get(name)}
    return {**job, "kept": kept} if kept else job
