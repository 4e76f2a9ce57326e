"""A stage as a SageMaker job: inputs to the DVC remote, the project to S3, the job, and its outputs back by hash."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...base.errors import DispatchError
from ...base.printable import printable
from ...base.terminal import block
from ...chain.packages import IMAGE_PACKAGES
from ...dvc.remote import Remote
from ...run.callbacks import Execution
from ...run.interrupts import uninterrupted
from ...run.outputs import Inputs, Outputs
from ..backend import LOOK, Tell, Work
from ..cloned_commit import commit_for_job
from ..job_spec import FILE
from ..report import MOST_BYTES, read_numbers, read_report
from ..snapshot import Snapshot, require_inside
from ..spark import LOCK as SPARK_LOCK
from ..spark import uses_spark
from ..transfer import Transfer
from . import checkpoints, jobs, kinds, launch, preflight
from .aws import Aws
from .settings import SageMakerSettings
from .spec import SageMakerSpec

LAST_LINES = 15  # of the log of a job that failed
LONGEST = 20_000  # characters of one line of it


class Dispatch:
    """One execution of a stage, away from here. Raises DispatchError, before anything was started, if it cannot be."""

    def __init__(self, settings: SageMakerSettings, execution: Execution, inputs: Inputs) -> None:
        self.settings = settings
        self.execution = execution
        instances = settings.training.instance_count if execution.trains else settings.processing.instance_count
        self.aws = preflight.check(settings, execution.root, execution.stage, execution.settings, instances)
        self._git: dict[str, str] | None = None
        self._snapshot: Snapshot | None = None
        if settings.source == "git":
            wanted = settings.git
            self._git = commit_for_job(execution, wanted.url, wanted.revision, "compute.sagemaker.git")
        else:
            self._snapshot = Snapshot(execution.root, execution.pipeline)
        for name in self._locks:
            require_inside(execution.root, name)
        self._transfer = Transfer(execution, inputs)
        self._pulled = self._transfer.push()
        resumes = execution.trains and getattr(
            getattr(execution.settings, execution.stage.module, None), "resume", False
        )
        self._checkpoints = checkpoints.address_for(self.aws, execution.given) if resumes else None

    @property
    def _backend(self) -> str:
        return f"{type(self.settings).__module__}.{type(self.settings).__qualname__}"

    @property
    def _kind(self) -> str:
        if self.execution.trains:
            return "training"
        return "spark" if self._uses_spark else "processing"

    @property
    def _locks(self) -> list[str]:
        return [launch.LOCK, SPARK_LOCK] if self._uses_spark else [launch.LOCK]

    @property
    def _uses_spark(self) -> bool:
        return uses_spark(self.execution.settings.compute, self.execution.stage)

    def run(self, outputs: Outputs, work: Work, check: Callable[[], None], tell: Tell) -> None:
        """Runs the stage as a job and writes what it made to `outputs`.

        `tell` hears of the job's facts when it has started and when it has ended. `check` raises if nobody waits for
        the result any more. Whatever ends this early stops the job. Raises DispatchError if the job failed or brought
        something else than it must.
        """
        name, unfinished = self.execution.stage.name, self.execution.unfinished
        report = self.aws.address("reports", f"{secrets.token_hex(8)}.json")
        base = jobs.base_name(self.aws.settings.prefix, name)
        with tempfile.TemporaryDirectory() as scratch:
            self._pack(Path(scratch), self._spec(report))
            # noted before it is started: a kill at any moment leaves a job that can be found
            kind = self._kind
            noted = {
                "backend": self._backend,
                "kind": kind,
                "base": base,
                "region": self.aws.region,
                "account": self.aws.account,
            }
            unfinished.begin("job", noted)
            job: jobs.Job | None = None
            try:
                job = self._start(base, Path(scratch))
                unfinished.begin("job", {**noted, "name": job.name})
                where = f"{job.name} on {job.instance_type} in {self.aws.region}"
                print(f"{name} runs as SageMaker job {printable(where)}.", flush=True)
                tell(job.facts)
                last = self._follow(job, check)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    print("interrupted: its job is stopped first, in some seconds.", file=sys.stderr, flush=True)
                with uninterrupted():
                    self._stop(base, was_refused=job is None and jobs.was_refused(error))
                raise
        unfinished.end("job")
        tell(job.facts)
        if job.aftermath:
            print(printable(job.aftermath), flush=True)
        if job.status != "Completed":
            reason = printable(job.failure) or f"it was {job.status.lower()}, by its time limit or by somebody"
            raise DispatchError(f"job {job.name} did not end well: {reason}\nIts last lines:\n" + "\n".join(last))
        said = self.aws.read(report, MOST_BYTES)
        if said is None:
            raise DispatchError(f"job {job.name} left no report at {report}.")
        self._transfer.bring(read_report(said, job.name), job.name, outputs)
        self.execution.reported = read_numbers(said, job.name)
        if self._checkpoints:
            self._forget(self._checkpoints)

    def _start(self, base: str, folder: Path) -> jobs.Job:
        if self._kind == "training":
            return jobs.TrainingJob.start(self.aws, base, folder, self._checkpoints)
        return kinds.KINDS[self._kind].start(self.aws, base, folder)

    def _forget(self, address: str) -> None:
        """Removes the checkpoints: there is a result. Where that is forbidden, the result stands all the same."""
        try:
            checkpoints.remove(self.aws, address)
        except DispatchError as error:
            print(f"warning: {error} They are of no use any more.", file=sys.stderr, flush=True)

    def _pack(self, folder: Path, spec: SageMakerSpec) -> None:
        if self._snapshot is not None:
            self._snapshot.pack(folder / launch.ARCHIVE)
        spec.write(folder / FILE)
        shutil.copyfile(launch.__file__, folder / "launch.py")
        text = "".join((self.execution.root / name).read_text(encoding="utf-8") for name in self._locks)
        (folder / launch.LOCK).write_text(text, encoding="utf-8")

    def _follow(self, job: jobs.Job, check: Callable[[], None]) -> deque[str]:
        last: deque[str] = deque(maxlen=LAST_LINES)
        for message in job.follow(check):
            # a progress bar goes back to the beginning of its line
            for part in message.replace("\r", "\n").rstrip("\n").split("\n"):
                line = f"  {block(part)[:LONGEST]}"
                print(line, flush=True)
                last.append(line)
        return last

    def _spec(self, report: str) -> SageMakerSpec:
        remote = Remote.of(self.execution.root)
        assert remote is not None  # preflight has looked
        git = self.settings.git
        source = {**self._git, "credential": git.credential, "secret": git.secret} if self._git else None
        folder = launch.WORK / launch.PROJECT / (self._git["folder"] if self._git else "")
        return SageMakerSpec(
            backend=self._backend,
            folder=str(folder),
            stage=self.execution.stage.name,
            image_packages=list(IMAGE_PACKAGES),
            inputs=self._pulled,
            outputs=list(self.execution.stage.outs),
            remote={"name": remote.name, "url": remote.url, **remote.place},
            has_git=self._git is not None,
            report=report,
            install=self.settings.install,
            git=source,
            secret=self.settings.secret,
            spark=self._spark() if self._uses_spark else None,
            callbacks=self.execution.parts,
            checkpoints=jobs.FOLDER if self._checkpoints else None,
        )

    def _spark(self) -> dict[str, Any]:
        """One instance needs no cluster; several are one of YARN, and meet in the bucket."""
        instances = self.settings.spark.instance_count
        if instances == 1:
            return {"master": "local[*]", "shared": None, "instances": 1}
        return {"master": "yarn", "shared": self.aws.address("spark"), "instances": instances}

    def _stop(self, base: str, *, was_refused: bool) -> None:
        """Stops the job. Its note stays until somebody has seen that it is over."""
        try:
            found = kinds.named(Aws(region=self.aws.region, is_hasty=True), self._kind, base)
            for job in found:
                if job.status not in (*jobs.ENDED, "Stopping"):
                    job.stop()
                    print(f"job {job.name} is asked to stop.", file=sys.stderr, flush=True)
            is_over = all(job.status in jobs.ENDED for job in found) if found else was_refused
            if is_over:
                self.execution.unfinished.end("job")
        except DispatchError as error:  # what led here matters more
            print(f"jobs {base}... may go on: {error} {LOOK}", file=sys.stderr, flush=True)
