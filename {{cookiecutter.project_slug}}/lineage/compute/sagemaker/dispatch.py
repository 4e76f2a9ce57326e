"""A stage as a SageMaker job: inputs to the DVC remote, the project to S3, the job, and its outputs back by hash."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ...base.errors import DispatchError
from ...base.printable import printable
from ...base.terminal import block
from ...run.callbacks import Execution
from ...run.interrupts import uninterrupted
from ...run.outputs import Inputs, Outputs
from ..backend import LOOK, Tell, Work
from ..cloned_commit import commit_for_job
from ..report import MOST_BYTES, read_numbers, read_report
from ..snapshot import Snapshot, require_inside
from ..transfer import Transfer
from . import checkpoints, jobs, kinds, preflight
from .aws import Aws
from .parcel import Parcel
from .settings import SageMakerSettings
from .spec import SageMakerSpec
from .training_jobs import TrainingJob

LAST_LINES = 15  # of the log of a job that failed
LONGEST = 20_000  # characters of one line of it


class Dispatch:
    """One execution of a stage, away from here. Raises DispatchError, before anything was started, if it cannot be."""

    def __init__(self, settings: SageMakerSettings, execution: Execution, inputs: Inputs) -> None:
        self.settings = settings
        self.execution = execution
        parcel = Parcel(settings, execution.root, execution.pipeline, execution.stage, execution.settings)
        self._parcel = parcel
        self.aws = preflight.check(settings, execution.root, execution.stage, execution.settings, parcel.instances)
        self._git: dict[str, str] | None = None
        self._snapshot: Snapshot | None = None
        if settings.source == "git":
            wanted = settings.git
            self._git = commit_for_job(execution, wanted.url, wanted.revision, "compute.sagemaker.git")
        else:
            self._snapshot = Snapshot(execution.root, execution.pipeline)
        for name in parcel.locks:
            require_inside(execution.root, name)
        self._transfer = Transfer(execution, inputs)
        self._pulled = self._transfer.push()
        self._checkpoints = checkpoints.address_for(self.aws, execution.given) if parcel.resumes else None

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
            self._parcel.pack(Path(scratch), self._snapshot, self._spec(report))
            # noted before it is started: a kill at any moment leaves a job that can be found
            kind = self._parcel.kind
            noted = {
                "backend": self._parcel.name_of_backend,
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
            checkpoints.forget(self.aws, self._checkpoints)

    def _start(self, base: str, folder: Path) -> jobs.Job:
        if self._parcel.kind == "training":
            return TrainingJob.start(self.aws, base, folder, self._checkpoints)
        return kinds.KINDS[self._parcel.kind].start(self.aws, base, folder)

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
        git = self.settings.git
        source = {**self._git, "credential": git.credential, "secret": git.secret} if self._git else None
        given = {
            "inputs": self._pulled,
            "callbacks": self.execution.parts,
            "checkpoints": checkpoints.FOLDER if self._checkpoints else None,
        }
        return self._parcel.spec(self.aws, report=report, git=source, **given)

    def _stop(self, base: str, *, was_refused: bool) -> None:
        """Stops the job. Its note stays until somebody has seen that it is over."""
        try:
            found = kinds.named(Aws(region=self.aws.region, is_hasty=True), self._parcel.kind, base)
            for job in found:
                if job.status not in (*jobs.ENDED, "Stopping"):
                    job.stop()
                    print(f"job {job.name} is asked to stop.", file=sys.stderr, flush=True)
            is_over = all(job.status in jobs.ENDED for job in found) if found else was_refused
            if is_over:
                self.execution.unfinished.end("job")
        except DispatchError as error:  # what led here matters more
            print(f"jobs {base}... may go on: {error} {LOOK}", file=sys.stderr, flush=True)
