"""What a job must know about itself: a JSON file that travels with the code."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from ..base.env import PIPELINE_JOB_SPEC
from ..base.errors import DispatchError

FILE = "job_spec.json"
NO_JOB = f"{PIPELINE_JOB_SPEC} is set, and this is no job. Unset it, then run this again."


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Everything that a job cannot know by itself. A backend may add to it. Holds no secret."""

    backend: str  # the class, as `_target_` names it
    folder: str  # where the project lies in the job, an absolute path
    stage: str
    inputs: dict[str, str]  # hash by path, of what the job brings from the DVC remote
    outputs: list[str]
    remote: dict[str, str]  # name, url, and where S3 is if not at AWS
    has_git: bool  # whether the project lies in a Git repository there
    callbacks: dict[str, dict[str, Any]]  # what each callback keeps of this execution, by its name
    checkpoints: str | None = None  # a folder there that outlives the machine, and is for these inputs alone
    # where the execution starts, as git_facts has it, if nobody has sent it who could report it: a step of a pipeline
    started_from: dict[str, str] | None = None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises DispatchError if it is none. What another class has added is left out."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{field.name: document[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DispatchError(f"{NO_JOB} {path} is no job spec: {type(error).__name__}: {error}.") from None


def spec_of_this_job() -> JobSpec | None:
    """The spec, where this process is part of a job; else None.

    Raises DispatchError if the variable is set anywhere but in the job's folder: a job asks nobody for consent.
    """
    path = os.environ.get(PIPELINE_JOB_SPEC)
    if not path:
        return None
    spec = JobSpec.read(Path(path))
    if Path.cwd() != Path(spec.folder).resolve():
        raise DispatchError(f"{NO_JOB} {path} is for {spec.folder}.")
    return spec
