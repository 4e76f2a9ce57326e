"""Rebuilds a model from its commit, in an environment from its lock, and compares what comes out, bit by bit."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.env import PIPELINE_COMPUTE
from ..base.errors import LineageError
from ..chain.facts import read_run_record
from ..chain.packages import LOCK, differences
from ..chain.reproduction import Reproduction
from ..contract import Role
from ..dvc.dvcfile import locked_hash, read_lock
from ..pipeline.runner import cache_dir_of
from ..settings import flatten
from .case import Evidence, ModelCase
from .restore import clean_environment, require_empty, restore_added, restore_code, run

LOG = "reproduce.log"
PACKAGES = (
    "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}' for x in d()), sep='\\n')"
)


@dataclass
class Comparison:
    """The first making against the second. Empty where they are the same."""

    looked_at: int = 0
    hashes: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)  # by path: then, now
    metrics: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)  # greatest absolute difference by tensor
    circumstances: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # machine and packages
    unknown: list[str] = field(default_factory=list)

    @property
    def is_identical(self) -> bool:
        """Whether every output has the same bytes, the record of the run aside: it holds the run's id and times."""
        return self.looked_at > 0 and not self.hashes


def reproduce_into(evidence: Evidence, case: ModelCase, target: Path | None, *, here: bool = False) -> Comparison:
    """`reproduce` in `target`, which is then kept, or in a temporary folder."""
    if target is not None:
        require_empty(target)
        target.mkdir(parents=True, exist_ok=True)
        return reproduce(evidence, case, target, here=here)
    with tempfile.TemporaryDirectory(prefix="reproduce-") as scratch:
        return reproduce(evidence, case, Path(scratch), here=here)


def reproduce(evidence: Evidence, case: ModelCase, folder: Path, *, here: bool = False) -> Comparison:
    """Runs the pipeline of the model's commit in `folder`, an empty one, and compares.

    With `here`, in the Python environment that this runs in, which must be as the commit's lock says. Nothing is
    reported to MLflow. Raises LineageError if the pipeline cannot be run to its end.
    """
    commit = case.commit
    restore_code(evidence, commit, folder)
    project = folder / evidence.history.prefix
    restore_added(evidence, commit, project)
    python = _environment(project, here)
    machine = case.document["training_run"].get("machine") or {}
    Reproduction(_consent_of_then(evidence, commit, project), machine).mark(project)
    environment = clean_environment(**{PIPELINE_COMPUTE: "local"})
    _keep_weights_of_then(evidence, commit, project)
    environment["PATH"] = f"{python.parent}:{environment.get('PATH', '')}"
    log = project / LOG
    last = case.stage(Role.SCORES).name
    status = run([str(python), "-m", "dvc", "repro", "--force", last], project, log, environment)
    if status != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise LineageError(f"the pipeline did not run to its end: {' / '.join(lines[-3:])} ({log})")
    return _compare(evidence, case, project, python)


def _consent_of_then(evidence: Evidence, commit: str, project: Path) -> Path | None:
    """The snapshot of the consent registry that the model was made with: today's would make another model."""
    md5 = evidence.history.at(commit).recorded.md5(Role.CONSENT)
    if md5 is None:
        return None
    target = project / ".dvc" / "tmp" / "consent.csv"
    evidence.objects.fetch(md5, target)
    return target


def _keep_weights_of_then(evidence: Evidence, commit: str, project: Path) -> None:
    """Puts the weights that training started from where their stage looks first: their address may be gone."""
    recorded = evidence.history.at(commit).recorded
    md5, maker = recorded.md5(Role.PRETRAINED), recorded.pipeline.maker(Role.PRETRAINED)
    if md5 is None or maker is None:
        return
    kept = cache_dir_of(project, maker.module)
    fetched = evidence.objects.fetch(md5, kept / md5)
    (kept / md5).replace(kept / fetched.sha256)  # the name under which KnownFile keeps it


def _environment(project: Path, here: bool) -> Path:
    """The Python to run with: of an environment of the project's own, made from its lock."""
    if here:
        wrong = differences(project / LOCK)
        if wrong:
            raise LineageError(f"this environment is not as {LOCK} of the commit says: {wrong[0]}. Leave out --here.")
        return Path(sys.executable)
    script = project / "scripts" / "environment.py"
    command = [sys.executable, str(script), "--venv", ".venv", "--requirements", LOCK, "--editable", "."]
    once = clean_environment(UV_COMPILE_BYTECODE="0")  # most of what is installed is never imported
    if run(command, project, project / LOG, once) != 0:
        raise LineageError(f"the environment of {LOCK} could not be made; {project / LOG} says why.")
    return project / ".venv" / "bin" / "python"


def _compare(evidence: Evidence, case: ModelCase, project: Path, python: Path) -> Comparison:
    result = Comparison()
    then, pipeline = case.lock, case.recorded.pipeline
    beside = {pipeline.path(Role.RUN), pipeline.path(Role.CHAIN)}  # these hold ids and times
    for name, entry in read_lock(project).items():
        for out in entry.get("outs") or []:
            before = locked_hash(then.get(name), "outs", out["path"])
            if before is None or out["path"] in beside:
                continue
            result.looked_at += 1
            if before != out["md5"]:
                result.hashes[out["path"]] = (before, out["md5"])
    _compare_metrics(evidence, case, project, result)
    _compare_weights(evidence, case, project, result)
    _compare_circumstances(evidence, case, project, python, result)
    return result


def _compare_metrics(evidence: Evidence, case: ModelCase, project: Path, result: Comparison) -> None:
    md5, path = case.recorded.made(Role.SCORES), str(case.recorded.pipeline.path(Role.SCORES))
    before = flatten(json.loads(evidence.objects.read(md5))) if md5 else {}
    after = flatten(json.loads((project / path).read_text(encoding="utf-8")))
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            result.metrics[key] = (before.get(key), after.get(key))


def _compare_weights(evidence: Evidence, case: ModelCase, project: Path, result: Comparison) -> None:
    path = case.recorded.pipeline.path(Role.MODEL)
    if path not in result.hashes:
        return
    import numpy as np
    from safetensors.numpy import load

    before = load(evidence.objects.read(str(result.hashes[path][0])))
    after = load((project / path).read_bytes())
    for name in sorted({*before, *after}):
        if name not in before or name not in after or before[name].shape != after[name].shape:
            result.weights[name] = float("nan")  # no difference can be stated
        elif not np.array_equal(before[name], after[name]):
            difference = before[name].astype(np.float64) - after[name].astype(np.float64)
            result.weights[name] = float(np.abs(difference).max())


def _compare_circumstances(
    evidence: Evidence, case: ModelCase, project: Path, python: Path, result: Comparison
) -> None:
    record = case.document["training_run"]
    after = read_run_record(project / str(case.recorded.pipeline.path(Role.RUN)))["machine"]
    before = record.get("machine") or {}
    for key in sorted({*before, *after} - {"markers"}):
        if before.get(key) != after.get(key):
            result.circumstances[key] = (before.get(key), after.get(key))
    try:
        run_id = record.get("run_id")
        if run_id is None:
            raise LineageError("the training was not logged")
        text = evidence.store_at(record["tracking_uri"]).artifact(run_id, "packages.txt").decode()
    except LineageError as error:
        result.unknown.append(f"the packages of the original training ({error})")
        return
    listed = subprocess.run([str(python), "-c", PACKAGES], capture_output=True, text=True, check=True).stdout
    then, now = _versions(text), _versions(listed)
    locked = {*_versions((project / LOCK).read_text(encoding="utf-8"))}
    for name in sorted(locked & {*then, *now}):
        if then.get(name) != now.get(name):
            result.circumstances[f"package {name}"] = (then.get(name), now.get(name))


def _versions(text: str) -> dict[str, str]:
    from packaging.utils import canonicalize_name

    lines = [line.split(";")[0].split("\\")[0].strip() for line in text.splitlines()]
    pairs = [line.partition("==") for line in lines if "==" in line and not line.startswith(("#", "-"))]
    return {canonicalize_name(name): version for name, _, version in pairs}
