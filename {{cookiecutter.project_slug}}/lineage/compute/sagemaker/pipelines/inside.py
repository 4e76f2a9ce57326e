"""Inside of a job that is a step: what it works with is what the steps before it report under the execution's id."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....base.env import PIPELINE_EXECUTION, PIPELINE_JOB_SPEC, PIPELINE_SETTING
from ....base.errors import DispatchError
from ....dvc.dvcfile import DVC_LOCK, PARAMS_FILE, locked_hash, read_lock
from ....settings import check_settings, flatten, read_params, select
from ...report import MOST_BYTES, read_report
from ..aws import Aws
from ..spec import SageMakerSpec

SCORES = Path("/opt/ml/processing/output/scores")  # where a condition's property file is taken from
TRUTH = {"true": True, "false": False}


def execution_id() -> str:
    """The id of the execution that this job is a step of. Raises DispatchError if it is none."""
    found = os.environ.get(PIPELINE_EXECUTION, "")
    if not found.isalnum():
        raise DispatchError(f"{PIPELINE_EXECUTION} is {found!r}: this is no step of a pipeline.")
    return found


def report_address(executions: str, execution: str, stage: str) -> str:
    """Where a step of an execution reports."""
    return f"{executions}/{execution}/reports/{step_name(stage)}.json"


def step_name(stage: str) -> str:
    """What the step of a stage is called: SageMaker takes no @, which a stage of `foreach` has in its name."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", stage)


def complete(root: Path, spec: SageMakerSpec, aws: Aws) -> SageMakerSpec:
    """The spec with what only the execution knows; params.yaml and dvc.lock in `root` say the same then.

    Raises DispatchError if a step before it did not report, or the execution was started with what cannot be set.
    """
    given = spec.pipeline
    assert given is not None
    execution = execution_id()
    set_params(root, given_settings(os.environ, given["settings"]))
    entries = {}
    for stage in given["earlier"]:
        address = report_address(given["executions"], execution, stage)
        said = aws.read(address, MOST_BYTES)
        if said is None:
            raise DispatchError(f"{stage} of execution {execution} left no report at {address}.")
        entries[stage] = read_report(said, f"{stage} in execution {execution}")
    made = {path: locked_hash(entries[stage], "outs", path) for path, stage in given["made"].items()}
    if missing := next((path for path, md5 in made.items() if md5 is None), None):
        raise DispatchError(f"{given['made'][missing]} of execution {execution} does not report {missing}.")
    _record(root, entries)
    report = report_address(given["executions"], execution, spec.stage)
    filled = replace(spec, inputs={**spec.inputs, **{path: str(md5) for path, md5 in made.items()}}, report=report)
    path = root.parent / "step_spec.json"  # beside the project: what launch.py was given stays as it is
    filled.write(path)
    os.environ[PIPELINE_JOB_SPEC] = str(path)
    return filled


def about(spec: SageMakerSpec) -> dict[str, Any]:
    """What the report of a step says beside that of any job."""
    return {"execution": execution_id(), "commit": (spec.started_from or {}).get("mlflow.source.git.commit")}


def hand_over_scores(root: Path, spec: SageMakerSpec) -> None:
    """Puts the scores where SageMaker takes them for a condition, if this job has such an output."""
    path = (spec.pipeline or {}).get("scores")
    if path and SCORES.is_dir():
        (SCORES / Path(path).name).write_bytes((root / path).read_bytes())


def given_settings(environment: Any, allowed: list[str]) -> dict[str, str]:
    """Text by key of what the execution was started with. Raises DispatchError for one that may not be set."""
    pairs = (value.partition("=") for name, value in sorted(environment.items()) if name.startswith(PIPELINE_SETTING))
    found = {key: value for key, _, value in pairs}
    if wrong := sorted(found.keys() ^ {*allowed}):
        raise DispatchError(
            f"{wrong[0]} is not among the settings that an execution may have otherwise, or is missing."
        )
    return found


def set_params(root: Path, texts: dict[str, str]) -> dict[str, Any]:
    """Writes settings into params.yaml, each of the type that it has there. Returns those that are others now.

    The file stays as it is where none is. Raises DispatchError for a text that is no such value.
    """
    params = read_params(root / PARAMS_FILE)
    changed = {key: value for key, value in _typed(params, texts) if value != select(params, key)}
    if not changed:
        return {}
    text = (root / PARAMS_FILE).read_text(encoding="utf-8")
    for key, value in changed.items():
        text = with_value(text, key, value)
    (root / PARAMS_FILE).write_text(text, encoding="utf-8", newline="\n")
    now = flatten(read_params(root / PARAMS_FILE))
    if now != {**flatten(params), **changed}:
        raise DispatchError(
            f"{', '.join(changed)} cannot be set in {PARAMS_FILE}: compose it, so that it is block YAML."
        )
    check_settings(read_params(root / PARAMS_FILE), PARAMS_FILE)
    return changed


def with_value(text: str, key: str, value: Any) -> str:
    """The text of a params.yaml with another value at a dotted key, and each other line as it is."""
    lines, above = text.splitlines(keepends=True), list[tuple[int, str]]()
    for number, line in enumerate(lines):
        found = re.match(r"( *)([^\s:#-][^:]*):", line)
        if found is None:
            continue
        above = [*((indent, name) for indent, name in above if indent < len(found[1])), (len(found[1]), found[2])]
        if ".".join(name for _, name in above) == key:
            lines[number] = f"{found[0]} {json.dumps(value)}\n"
    return "".join(lines)


def _typed(params: dict[str, Any], texts: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for key, text in texts.items():
        kind = type(select(params, key))
        try:
            yield key, TRUTH[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise DispatchError(f"{key} cannot be {text!r}: it is a {kind.__name__}.") from None


def _record(root: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Makes dvc.lock say what the steps before this one did, as if they had run here."""
    from dvc.utils.serialize import dump_yaml

    if entries:
        dump_yaml(str(root / DVC_LOCK), {"schema": "2.0", "stages": {**read_lock(root), **entries}})
