"""Brings what an execution made into this project: dvc.lock, objects by hash, version, lineage.json.

DVC itself does it: each step's stage is run once more, and in place of its work its outputs are brought from the remote
and compared with what its job reports. Nothing is believed that cannot be computed again here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....base.env import PIPELINE_COLLECTED
from ....base.errors import DispatchError, ProjectError
from ....base.printable import printable
from ....contract import Role
from ....dvc.dvcfile import DVC_LOCK, PARAMS_FILE, differences, locked_hash, read_lock
from ....dvc.hashes import hash_path
from ....settings import read_params, select
from ...inside import this_python
from ...report import MOST_BYTES, read_report
from ..aws import Aws
from .definition import executions_address
from .executions import Started
from .inside import report_address, set_params
from .parameters import Parameters
from .plan import Plan

FOLDER = Path(".dvc", "tmp", "collected")
CHAIN = "lineage.json"
KEPT = (DVC_LOCK, PARAMS_FILE, CHAIN)


@dataclass(frozen=True)
class Collected:
    """What was brought."""

    steps: list[str]
    after: list[str]  # the stages that ran here
    settings: dict[str, Any]  # what the execution had otherwise, and params.yaml has now


def collect(plan: Plan, parameters: Parameters, aws: Aws, execution: Started) -> Collected:
    """Collects an execution of this project's pipeline. If anything fails, the project is brought back to what it was.

    Raises DispatchError if it did not succeed, if a report lacks or contradicts another, or if what it worked with is
    not what is here; it says what of the project could not be brought back, and what MLflow keeps.
    """
    reports = _reports(plan, aws, execution)
    folder = plan.root / FOLDER / execution.identity
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in reports.items():
        (folder / f"{name}.json").write_bytes(data)
    before = {name: path.read_bytes() for name in KEPT if (path := plan.root / name).is_file()}
    outs = [out for name in (*reports, *(each.name for each in plan.after)) for out in plan.pipeline.stages[name].outs]
    absent = [plan.root / out for out in outs if not (plan.root / out).exists()]
    steps, after, began = list(reports), [stage.name for stage in plan.after], False
    try:
        changed = set_params(plan.root, _settings(parameters, execution))
        _require_same(plan, reports)
        environment = {PIPELINE_COLLECTED: str(folder)}
        _dvc(plan.root, environment, "repro", "--single-item", "--force", "--no-run-cache", *steps)
        _compare(plan.root, reports)
        after = [*(stage.name for stage in plan.of_params if changed), *after]
        began = bool(after)
        if after:  # what rests on them, in the same way: a step that was out of date would be sent away, and is refused
            _dvc(plan.root, environment, "repro", "--single-item", *after)
    except DispatchError as error:
        raise DispatchError(f"{error} {_undone(plan, before, absent, [*steps, *after], began=began)}") from error
    except BaseException:
        print(printable(_undone(plan, before, absent, [*steps, *after], began=began)), file=sys.stderr)
        raise
    return Collected(steps, after, changed)


def _reports(plan: Plan, aws: Aws, execution: Started) -> dict[str, bytes]:
    """The report of each step, by its stage, compared with the others."""
    where = f"execution {execution.identity}"
    if execution.status != "Succeeded":
        raise DispatchError(f"{where} is {execution.status}, so there is nothing to collect. {_why(execution)}".strip())
    names = [step.name for step in plan.steps]
    there = [step["Name"] for step in execution.definition["Steps"] if step["Type"] in ("Processing", "Training")]
    if {*there} != {*names}:
        raise DispatchError(f"{where} has the steps {', '.join(there)}, and here these are {', '.join(names)}.{BACK}")
    found: dict[str, bytes] = {}
    entries: dict[str, dict[str, Any]] = {}
    for step in plan.steps:
        name = step.stage.name
        said = aws.read(report_address(executions_address(plan, aws), execution.identity, name), MOST_BYTES)
        if said is None:
            raise DispatchError(f"step {name} of {where} has left no report.")
        entries[name], found[name] = read_report(said, f"{name} in {where}"), said
        for dep in step.stage.deps:
            maker = plan.pipeline.producer(dep)
            if maker is None or maker.name not in step.earlier:
                continue
            made, read = locked_hash(entries[maker.name], "outs", dep), locked_hash(entries[name], "deps", dep)
            if made != read:
                raise DispatchError(
                    f"step {name} of {where} read another {dep} ({read}) than {maker.name} made ({made})."
                )
    return found


BACK = " Check out the commit that the pipeline was made of, then run this again."


def _require_same(plan: Plan, reports: dict[str, bytes]) -> None:
    """Raises DispatchError, with the commit to go to, where code, data or settings of a step are others here."""
    params = read_params(plan.root / PARAMS_FILE)
    for step in plan.steps:
        stage, said = step.stage, json.loads(reports[step.stage.name])
        code = {dep: hash_path(plan.root / dep).md5 for dep in plan.pipeline.sources(stage)}
        given = {
            "cmd": stage.cmd,
            "params": {key: select(params, key) for key in stage.params},
            "deps": {**code, **step.inputs},
        }
        if wrong := differences(given, said["entry"]):
            commit = printable(str(said.get("commit")))[:12]
            raise DispatchError(
                f"step {stage.name} worked with another {', '.join(wrong[:3])}: that of commit {commit}. "
                f"`git switch --create collected {commit}` goes there; collect, commit, and merge the result."
            )


def _why(execution: Started) -> str:
    failed = [f"{step.name}: {step.failure}" for step in execution.steps if step.failure]
    return printable("; ".join(failed) or execution.failure)


def _settings(parameters: Parameters, execution: Started) -> dict[str, str]:
    given = {each.of: execution.parameters.get(each.name) for each in parameters.settings}
    return {key: value for key, value in given.items() if value is not None}


def _compare(root: Path, reports: dict[str, bytes]) -> None:
    """dvc has hashed what was brought and what is here once more: that must be what the steps report."""
    lock = read_lock(root)
    for name, data in reports.items():
        entry, there = lock.get(name) or {}, read_report(data, name)
        for kind in ("deps", "outs"):
            here = {item["path"]: item.get("md5") for item in entry.get(kind) or []}
            if wrong := next((item["path"] for item in there[kind] if here.get(item["path"]) != item["md5"]), None):
                raise DispatchError(f"{wrong} of {name} is {here.get(wrong)} here, and step {name} reports another.")


def _dvc(root: Path, more: dict[str, str], *arguments: str) -> None:
    path = os.pathsep.join([this_python(), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, **more}
    sys.stdout.flush()
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, env=environment, check=False)
    if done.returncode:
        raise DispatchError("it could not be collected: the lines above say why.")


def _undone(plan: Plan, before: dict[str, bytes], absent: list[Path], stages: list[str], *, began: bool) -> str:
    """Brings the project back to what it was, and says what there is now. `began`: what rests on the steps has run."""
    registers = began and plan.pipeline.maker(Role.CHAIN) in plan.after
    kept = _kept_by_mlflow(plan.root / CHAIN, before.get(CHAIN, b"")) if registers else ""
    return (_put_back(plan.root, before, absent, stages) or "The project is as it was.") + kept


def _put_back(root: Path, before: dict[str, bytes], absent: list[Path], stages: list[str]) -> str:
    """Brings the project back to what it was. Returns what is not, in a sentence; empty if all is."""
    try:
        for path in absent:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for name, data in before.items():
            (root / name).write_bytes(data)
        recorded = [name for name in stages if name in read_lock(root)]
        command = ["dvc", "checkout", "--force", *recorded]
        done = subprocess.run([sys.executable, "-m", *command, "--quiet"], cwd=root, check=False) if recorded else None
    except (OSError, ProjectError) as error:  # what led here matters more
        return f"The project is not as it was: {error}. `git status` and `dvc status` show what is not."
    if done is not None and done.returncode:
        return f"The project is not as it was: `{' '.join(command)}` did not bring back all outputs. Run it again."
    return ""


def _kept_by_mlflow(path: Path, before: bytes) -> str:
    """What to say of a version that `register` has made or found, for nothing here points to it any more."""
    now = path.read_bytes() if path.is_file() else b""
    if now and now == before:
        return ""
    again = "collecting again takes that one."
    with suppress(ValueError, KeyError, TypeError):
        model = json.loads(now)["model"]
        return f" models:/{model['name']}/{model['version']} stays in MLflow: {again}"
    return f" MLflow may hold a version of this model by now: {again}"
