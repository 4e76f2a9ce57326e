"""Inputs to the DVC remote, and outputs back from it, by hash: how a backend and its jobs hand data to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..base.errors import DispatchError
from ..contract import Role
from ..dvc.dvcfile import differences, locked_hash
from ..dvc.hashes import hash_tree
from ..dvc.objects import Objects
from ..dvc.places import Places
from ..dvc.upload import upload_path
from ..run import disk
from ..run.callbacks import Execution
from ..run.outputs import Inputs, Outputs
from .report import MOST_BYTES, MOST_FILES, MOST_LISTING, read_record


class Transfer:
    """One execution of a stage elsewhere. Raises DispatchError where something is not as it must be."""

    def __init__(self, execution: Execution, inputs: Inputs) -> None:
        self._execution = execution
        self._inputs = inputs
        self._objects = Objects(Places(execution.root))

    def push(self) -> dict[str, str]:
        """Puts the data that the stage reads into the DVC remote. Returns its hash by path."""
        pipeline, root = self._execution.pipeline, self._execution.root
        data = [dep for dep in self._inputs if pipeline.producer(dep) or (root / f"{dep}.dvc").exists()]
        contents = {dep: self._execution.given.content(dep) for dep in data}
        # not `dvc push`: it believes its notes of what the remote once held
        for dep, content in contents.items():
            upload_path(self._objects, root / dep, content)
        return {dep: content.md5 for dep, content in contents.items()}

    def bring(self, entry: dict[str, Any], job: str, outputs: Outputs) -> None:
        """Writes what the job made to `outputs`, each hash recomputed. It must have worked with the same inputs.

        `entry` is what `read_report` gave of the job's report.
        """
        for path in self._inputs:
            there, md5 = locked_hash(entry, "deps", path), self._execution.given.content(path).md5
            if there != md5:
                raise DispatchError(f"job {job} worked with another {path}: {there} there, {md5} here.")
        if others := differences({**self._execution.given.entry(), "deps": {}}, entry):
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
            if self._execution.pipeline.role(path) is Role.DATASET and not md5.endswith(".dir"):
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
        run_id = self._execution.parts.get(self._execution.tracker, {}).get("run_id")
        if self._execution.trains and run_id and (path := self._execution.pipeline.path(Role.RUN)):
            with outputs[path].open("rb") as file:
                record = read_record(file.read(MOST_BYTES), job)
            if record.get("run_id") != run_id:
                raise DispatchError(f"job {job} brought the record of another run ({record.get('run_id')}).")
