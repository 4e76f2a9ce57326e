"""What goes to a job of a stage: the project, the lock, the spec and the first program. By any way to it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...chain.packages import IMAGE_PACKAGES
from ...contract import Role
from ...dvc.dvcfile import Pipeline, Stage
from ...dvc.remote import Remote
from ...settings import Settings
from ..job_spec import FILE
from ..snapshot import Snapshot
from ..spark import LOCK as SPARK_LOCK
from ..spark import uses_spark
from . import launch
from .aws import Aws
from .settings import SageMakerSettings
from .spec import SageMakerSpec


@dataclass(frozen=True)
class Parcel:
    """A stage of the project at `root` that is to run in a job."""

    backend: SageMakerSettings
    root: Path
    pipeline: Pipeline
    stage: Stage
    settings: Settings

    @property
    def name_of_backend(self) -> str:
        """As `_target_` in conf/ names it."""
        return f"{type(self.backend).__module__}.{type(self.backend).__qualname__}"

    @property
    def trains(self) -> bool:
        """Whether the stage makes the model."""
        return self.stage == self.pipeline.maker(Role.MODEL)

    @property
    def resumes(self) -> bool:
        """Whether it keeps checkpoints, from which its job goes on when its instance was taken away."""
        return self.trains and bool(getattr(getattr(self.settings, self.stage.module, None), "resume", False))

    @property
    def kind(self) -> str:
        """The kind of its job, a key of `kinds.KINDS`."""
        if self.trains:
            return "training"
        return "spark" if self.uses_spark else "processing"

    @property
    def instances(self) -> int:
        """How many of them work on it."""
        wanted = self.backend.training if self.trains else self.backend.processing
        return wanted.instance_count

    @property
    def locks(self) -> list[str]:
        """The files that say what the job installs."""
        return [launch.LOCK, SPARK_LOCK] if self.uses_spark else [launch.LOCK]

    @property
    def uses_spark(self) -> bool:
        """Whether Spark divides its work."""
        return uses_spark(self.settings.compute, self.stage)

    def spec(self, aws: Aws, **more: Any) -> SageMakerSpec:
        """The spec of its job. `more` says what differs by the way to it: inputs, report, callbacks and so on."""
        remote = Remote.of(self.root)
        assert remote is not None  # preflight has looked
        git = more.pop("git", None)
        folder = launch.WORK / launch.PROJECT / (git["folder"] if git else "")
        return SageMakerSpec(
            backend=self.name_of_backend,
            folder=str(folder),
            stage=self.stage.name,
            image_packages=list(IMAGE_PACKAGES),
            outputs=list(self.stage.outs),
            remote={"name": remote.name, "url": remote.url, **remote.place},
            has_git=git is not None,
            install=self.backend.install,
            git=git,
            secret=self.backend.secret,
            spark=self._spark(aws) if self.uses_spark else None,
            **more,
        )

    def pack(self, folder: Path, snapshot: Snapshot | None, spec: SageMakerSpec) -> None:
        """Writes all that the job gets to `folder`; without a snapshot it clones the project."""
        if snapshot is not None:
            snapshot.pack(folder / launch.ARCHIVE)
        spec.write(folder / FILE)
        shutil.copyfile(launch.__file__, folder / "launch.py")
        text = "".join((self.root / name).read_text(encoding="utf-8") for name in self.locks)
        (folder / launch.LOCK).write_text(text, encoding="utf-8")

    def _spark(self, aws: Aws) -> dict[str, Any]:
        """One instance needs no cluster; several are one of YARN, and meet in the bucket."""
        instances = self.backend.spark.instance_count
        if instances == 1:
            return {"master": "local[*]", "shared": None, "instances": 1}
        return {"master": "yarn", "shared": aws.address("spark"), "instances": instances}
