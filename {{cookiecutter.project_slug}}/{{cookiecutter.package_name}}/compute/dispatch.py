"""A stage as a SageMaker job: inputs to the DVC remote, the project to S3, the job, and its outputs back by hash."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..errors import DispatchError
from ..lineage.facts import DATASET, RUN_RECORD
from ..lineage.hashes import hash_path, hash_tree
from ..lineage.remote import Remote
from ..pipeline import disk
from ..pipeline.callbacks import Execution
from ..pipeline.dvcfile import locked_hash
from ..pipeline.given import differences
from ..pipeline.interrupts import uninterrupted
from ..pipeline.outputs import Inputs, Outputs
from ..printable import printable
from ..proof.objects import Objects
from ..terminal import block
from . import jobs, launch, preflight
from .aftercare import LOOK
from .aws import Aws
from .commit import commit_for_job
from .report import MOST_BYTES, MOST_FILES, MOST_LISTING, read_record, read_report
from .snapshot import Snapshot, require_inside
from .ticket import FILE, Ticket

LAST_LINES = 15  # of the log of a job that failed
LONGEST = 20_000  # characters of one line of it


class Dispatch:
    """One execution of a stage, away from here. Raises DispatchError, before anything was started, if it cannot be."""

    def __init__(self, execution: Execution, inputs: Inputs) -> None:
        self.execution = execution
        self.inputs = inputs
        self.aws = preflight.check(execution.root, execution.stage, execution.settings)
        self._git: dict[str, str] | None = None
        self._snapshot: Snapshot | None = None
        if execution.settings.compute.sagemaker.source == "git":
            self._git = commit_for_job(execution)
        else:
            self._snapshot = Snapshot(execution.root, execution.pipeline)
        require_inside(execution.root, launch.LOCK)
        self._objects = Objects(execution.root)
        self._pulled = self._push()

    def run(self, outputs: Outputs, check: Callable[[], None], tell: Callable[[dict[str, str]], None]) -> None:
        """Runs the stage as a job and writes what it made to `outputs`.

        `tell` hears of the job's facts when it has started and when it has ended. `check` raises if nobody waits for
        the result any more. Whatever ends this early stops the job. Raises DispatchError if the job failed or brought
        something else than it must.
        """
        name, unfinished = self.execution.stage.name, self.execution.unfinished
        report = self.aws.address("reports", f"{secrets.token_hex(8)}.json")
        base = jobs.base_name(self.aws.settings.prefix, name)
        with tempfile.TemporaryDirectory() as scratch:
            self._pack(Path(scratch), self._ticket(report))
            # noted before it is started: a kill at any moment leaves a job that can be found
            noted = {"base": base, "region": self.aws.region, "account": self.aws.account}
            unfinished.begin("job", noted)
            job: jobs.Job | None = None
            try:
                job = jobs.kind_of(name).start(self.aws, base, Path(scratch))
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
        if job.status != "Completed":
            reason = printable(job.failure) or f"it was {job.status.lower()}, by its time limit or by somebody"
            raise DispatchError(f"job {job.name} did not end well: {reason}\nIts last lines:\n" + "\n".join(last))
        self._bring(report, job.name, outputs)

    def _pack(self, folder: Path, ticket: Ticket) -> None:
        if self._snapshot is not None:
            self._snapshot.pack(folder / launch.ARCHIVE)
        ticket.write(folder / FILE)
        shutil.copyfile(launch.__file__, folder / "launch.py")
        shutil.copyfile(self.execution.root / launch.LOCK, folder / launch.LOCK)

    def _follow(self, job: jobs.Job, check: Callable[[], None]) -> deque[str]:
        last: deque[str] = deque(maxlen=LAST_LINES)
        for message in job.follow(check):
            # a progress bar goes back to the beginning of its line
            for part in message.replace("\r", "\n").rstrip("\n").split("\n"):
                line = f"  {block(part)[:LONGEST]}"
                print(line, flush=True)
                last.append(line)
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
        """Writes what the job made to `outputs`, each hash recomputed. It must have worked with the same inputs."""
        said = self.aws.read(report, MOST_BYTES)
        if said is None:
            raise DispatchError(f"job {job} left no report at {report}.")
        entry = read_report(said, job)
        for path, here in self.inputs.items():
            there, md5 = locked_hash(entry, "deps", path), hash_path(here).md5
            if there != md5:
                raise DispatchError(f"job {job} worked with another {path}: {there} there, {md5} here.")
        if others := differences({**self.execution.given.entry(), "deps": {}}, entry):
            raise DispatchError(f"job {job} worked with another {', '.join(others[:3])}. Run `dvc repro` again.")
        made = {path: locked_hash(entry, "outs", path) or "" for path in outputs}
        if missing := [path for path, md5 in made.items() if not md5]:
            raise DispatchError(f"job {job} does not report {missing[0]}, which dvc.yaml declares.")
        self._require_plausible(job, made)
        try:
            self._objects.fetch_all({outputs[path]: md5 for path, md5 in made.items()})
        except OSError as error:
            if disk.sentence(error):
                raise
            raise DispatchError(f"what job {job} made cannot be put here: {error}") from error
        for path, md5 in made.items():
            found = hash_tree(outputs[path]).md5
            if found != md5:
                raise DispatchError(f"{path} came back as {found}, job {job} reports {md5}.")
        self._require_own_record(job, outputs)

    def _require_plausible(self, job: str, made: dict[str, str]) -> None:
        """Raises DispatchError if a folder stands for a file, or is larger than any that a stage makes.

        Before anything of it is read.
        """
        for path, md5 in made.items():
            if md5.endswith(".dir") and Path(path).suffix:
                raise DispatchError(f"job {job} brought a folder for {path}.")
            if path == DATASET and not md5.endswith(".dir"):
                raise DispatchError(f"job {job} brought a file for {path}.")
        folders = {md5: path for path, md5 in made.items() if md5.endswith(".dir")}
        for md5, held in self._objects.held(folders).items():
            if (held.size or 0) > MOST_LISTING:
                raise DispatchError(f"the listing of {folders[md5]} from job {job} has {held.size} bytes.")
        for md5, path in folders.items():
            if (count := len(self._objects.listing(md5))) > MOST_FILES:
                raise DispatchError(
                    f"{path} from job {job} has {count} files; {MOST_FILES} are the most that is taken."
                )

    def _require_own_record(self, job: str, outputs: Outputs) -> None:
        run_id = self.execution.run.get("run_id")
        if RUN_RECORD in self.execution.stage.outs and run_id:
            with outputs[RUN_RECORD].open("rb") as file:
                record = read_record(file.read(MOST_BYTES), job)
            if record.get("run_id") != run_id:
                raise DispatchError(f"job {job} brought the record of another run ({record.get('run_id')}).")

    def _stop(self, base: str, *, was_refused: bool) -> None:
        """Stops the job. Its note stays until somebody has seen that it is over."""
        try:
            found = jobs.named(Aws(region=self.aws.region, is_hasty=True), self.execution.stage.name, base)
            for job in found:
                if job.status not in (*jobs.ENDED, "Stopping"):
                    job.stop()
                    print(f"job {job.name} is asked to stop.", file=sys.stderr, flush=True)
            is_over = all(job.status in jobs.ENDED for job in found) if found else was_refused
            if is_over:
                self.execution.unfinished.end("job")
        except DispatchError as error:  # what led here matters more
            print(f"jobs {base}... may go on: {error} {LOOK}", file=sys.stderr, flush=True)
