"""A stage as a SageMaker job: inputs to the DVC remote, the project to S3, the job, and its outputs back by hash."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import DispatchError
from ..lineage.facts import RUN_RECORD
from ..lineage.hashes import hash_path, hash_tree
from ..lineage.remote import Remote
from ..pipeline.callbacks import Execution
from ..pipeline.dvcfile import locked_hash
from ..pipeline.given import differences
from ..pipeline.outputs import Inputs, Outputs
from ..proof.objects import Objects
from . import jobs, launch, preflight
from .commit import commit_for_job
from .snapshot import pack
from .ticket import FILE, Ticket

LAST_LINES = 15  # of the log of a job that failed


class Dispatch:
    """One execution of a stage, away from here. Raises DispatchError, before anything was started, if it cannot be."""

    def __init__(self, execution: Execution, inputs: Inputs) -> None:
        self.execution = execution
        self.inputs = inputs
        self.aws = preflight.check(execution.root, execution.stage, execution.settings)
        self._git = commit_for_job(execution) if execution.settings.compute.sagemaker.source == "git" else None
        self._objects = Objects(execution.root)
        self._stop_orphan()
        self._pulled = self._push()

    def run(self, outputs: Outputs, check: Callable[[], None], tell: Callable[[dict[str, str]], None]) -> None:
        """Runs the stage as a job and writes what it made to `outputs`.

        `tell` hears of the job's facts when it has started and when it has ended. `check` raises if nobody waits for
        the result any more. Whatever ends this early stops the job. Raises DispatchError if the job failed or brought
        something else than it must.
        """
        name = self.execution.stage.name
        report = self.aws.address("reports", f"{secrets.token_hex(8)}.json")
        # noted before it is started: a kill at any moment leaves a job that can be found
        base = jobs.base_name(self.aws.settings.prefix, name)
        self.execution.note({**self.execution.run, "job": base})
        try:
            job = self._start(base, self._ticket(report))
            print(f"{name} runs as SageMaker job {job.name} on {job.instance_type} in {self.aws.region}.", flush=True)
            tell(job.facts)
            last = self._follow(job, check)
        except BaseException:
            self._stop(base, "is asked to stop")
            raise
        tell(job.facts)
        if job.status != "Completed":
            reason = job.failure or f"it was {job.status.lower()}, by its time limit or by somebody"
            raise DispatchError(f"job {job.name} did not end well: {reason}\nIts last lines:\n" + "\n".join(last))
        self._bring(report, job.name, outputs)

    def _start(self, base: str, ticket: Ticket) -> jobs.Job:
        root = self.execution.root
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            if self._git is None:
                pack(root, self.execution.pipeline, folder / launch.ARCHIVE)
            ticket.write(folder / FILE)
            shutil.copyfile(launch.__file__, folder / "launch.py")
            shutil.copyfile(root / launch.LOCK, folder / launch.LOCK)
            return jobs.kind_of(ticket.stage).start(self.aws, base, folder)

    def _follow(self, job: jobs.Job, check: Callable[[], None]) -> deque[str]:
        last: deque[str] = deque(maxlen=LAST_LINES)
        for line in job.follow(check):
            print(f"  {line}", flush=True)
            last.append(f"  {line}")
        return last

    def _push(self) -> dict[str, str]:
        """Puts the data that the stage reads into the DVC remote. Returns its hash by path."""
        pipeline, root = self.execution.pipeline, self.execution.root
        data = [dep for dep in self.inputs if pipeline.producer(dep) or (root / f"{dep}.dvc").exists()]
        contents = {dep: hash_path(root / dep) for dep in data}
        # not `dvc push`: it believes its notes of what the remote once held
        for dep, content in contents.items():
            self._objects.keep(root / dep, content)
        return {dep: content.md5 for dep, content in contents.items()}

    def _ticket(self, report: str) -> Ticket:
        execution, settings = self.execution, self.execution.settings.compute.sagemaker
        remote = Remote.of(execution.root)
        assert remote is not None  # preflight has looked
        return Ticket(
            stage=execution.stage.name,
            package=Path(__file__).parents[1].name,
            inputs=self._pulled,
            outputs=list(execution.stage.outs),
            remote={"name": remote.name, "url": remote.url, **remote.place},
            report=report,
            install=settings.install,
            git=self._git_source(),
            secret=settings.secret,
            run=execution.run,
        )

    def _git_source(self) -> dict[str, str | None] | None:
        if self._git is None:
            return None
        settings = self.execution.settings.compute.sagemaker.git
        return {**self._git, "credential": settings.credential, "secret": settings.secret}

    def _bring(self, report: str, job: str, outputs: Outputs) -> None:
        """Writes what the job made to `outputs`, each hash computed anew. It must have worked with the same inputs."""
        said = self.aws.read(report)
        if said is None:
            raise DispatchError(f"job {job} left no report at {report}.")
        entry: dict[str, Any] = json.loads(said)["entry"]
        for path, here in self.inputs.items():
            there, md5 = locked_hash(entry, "deps", path), hash_path(here).md5
            if there != md5:
                raise DispatchError(f"job {job} worked with another {path}: {there} there, {md5} here.")
        if others := differences({**self.execution.given.entry(), "deps": {}}, entry):
            raise DispatchError(f"job {job} worked with another {', '.join(others[:3])}. Run `dvc repro` again.")
        made = {path: str(locked_hash(entry, "outs", path)) for path in outputs}
        self._objects.fetch_all({outputs[path]: md5 for path, md5 in made.items()})
        for path, md5 in made.items():
            found = hash_tree(outputs[path]).md5
            if found != md5:
                raise DispatchError(f"{path} came back as {found}, job {job} reports {md5}.")
        self._require_own_record(job, outputs)

    def _require_own_record(self, job: str, outputs: Outputs) -> None:
        run_id = self.execution.run.get("run_id")
        if RUN_RECORD in self.execution.stage.outs and run_id:
            record = json.loads(outputs[RUN_RECORD].read_text(encoding="utf-8"))
            if record.get("run_id") != run_id:
                raise DispatchError(f"job {job} brought the record of another run ({record.get('run_id')}).")

    def _stop_orphan(self) -> None:
        """Stops the job of an earlier execution here that was killed: nobody waits for it any more."""
        if base := (self.execution.interrupted or {}).get("job"):
            self._stop(base, "of an earlier run that was killed here is asked to stop")

    def _stop(self, base: str, said: str) -> None:
        try:
            for name in jobs.stop_all_named(self.aws, self.execution.stage.name, base):
                print(f"job {name} {said}.", file=sys.stderr, flush=True)
        except DispatchError as error:  # what led here matters more
            print(f"jobs {base}... may go on: {error}", file=sys.stderr, flush=True)
