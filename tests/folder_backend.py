"""The backend `folder`: a stage runs as a process in another folder. Written into a project by test_backends.py."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any, ClassVar

from lineage.base.env import PIPELINE_COMPUTE, PIPELINE_JOB_SPEC
from lineage.base.errors import DispatchError
from lineage.compute.backend import JobState, Tell, Work
from lineage.compute.job_spec import FILE, JobSpec
from lineage.compute.report import read_report
from lineage.compute.snapshot import Snapshot
from lineage.compute.transfer import Transfer
from lineage.dvc.remote import Remote
from lineage.run.callbacks import Execution
from lineage.run.outputs import Inputs, Outputs
from lineage.run.unfinished import Note
from lineage.settings.section import Section

JOB = """
import json
from pathlib import Path

from lineage.compute.inside import run_stage
from lineage.compute.job_spec import spec_of_this_job

report = run_stage(Path.cwd(), spec_of_this_job())
Path("../report.json").write_text(json.dumps(report))
"""


class Folder(Section):
    """Its settings, as conf/compute/folder.yaml has them."""

    place: str
    is_elsewhere: ClassVar[bool] = True

    def prepare(self, execution: Execution, inputs: Inputs) -> Run:
        return Run(Path(self.place), execution, inputs)

    @classmethod
    def describe_job(cls, root: Path) -> dict[str, Any]:
        return {"folder_job": root.parent.name}

    @classmethod
    def look_after(cls, note: Note, *, stop: bool) -> JobState:
        return JobState("a process ends with whoever has started it", is_over=True)


class Run:
    """One stage, in a folder of its own."""

    def __init__(self, place: Path, execution: Execution, inputs: Inputs) -> None:
        self._folder = place / f"{execution.stage.name}-{time.time_ns()}"
        self._execution = execution
        self._snapshot = Snapshot(execution.root, execution.pipeline)
        self._transfer = Transfer(execution, inputs)
        self._pulled = self._transfer.push()

    def run(self, outputs: Outputs, work: Work, check: Any, tell: Tell) -> None:
        stage, project = self._execution.stage, self._folder / "project"
        project.mkdir(parents=True)
        self._snapshot.pack(self._folder / "project.tar.gz")
        with tarfile.open(self._folder / "project.tar.gz") as archive:
            archive.extractall(project, filter="data")
        remote = Remote.of(self._execution.root)
        assert remote is not None
        JobSpec(
            backend="traceable_digits.folder.Folder",
            folder=str(project),
            stage=stage.name,
            inputs=self._pulled,
            outputs=list(stage.outs),
            remote={"name": remote.name, "url": remote.url},
            has_git=False,
            callbacks=self._execution.parts,
        ).write(self._folder / FILE)
        environment = {**os.environ, PIPELINE_JOB_SPEC: str(self._folder / FILE), PIPELINE_COMPUTE: "local"}
        tell({"folder_job": self._folder.name})
        with subprocess.Popen([sys.executable, "-c", JOB], cwd=project, env=environment) as process:
            while process.poll() is None:
                check()
                time.sleep(0.2)  # between two looks
        if process.returncode:
            raise DispatchError(f"the process in {self._folder} ended with {process.returncode}.")
        report = read_report((self._folder / "report.json").read_bytes(), self._folder.name)
        self._transfer.bring(report, self._folder.name, outputs)
