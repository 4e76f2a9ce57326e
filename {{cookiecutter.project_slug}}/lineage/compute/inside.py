"""Inside of a job: brings the inputs by hash, runs the stage, puts the outputs into the DVC remote. Needs no Git."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from ..base.errors import DispatchError
from ..base.translated import translate_errors
from ..contract import load
from ..dvc.dvcfile import read_lock, read_pipeline
from ..dvc.hashes import hash_path
from ..dvc.objects import Objects
from ..dvc.places import Places
from ..dvc.upload import upload_path
from ..run.interrupts import uninterrupted
from .job_spec import JobSpec
from .report import kept_numbers

ERROR = re.compile(r"error|denied|refused|exception|cannot|could not", re.IGNORECASE)
LONGEST = 400  # characters of the first error
LAST_LINES = 12  # of a command's output, less dvc's own and progress bars, in the reason of a failure


def run_stage(root: Path, spec: JobSpec) -> dict[str, Any]:
    """Runs the stage of the spec in `root`, and returns the report of it, for `read_report` where it was sent from.

    Raises DispatchError with the phase that failed and why.
    """
    objects = _bring_inputs(root, spec)
    again = ("repro", "--single-item", "--force", spec.stage)
    _run(f"run stage {spec.stage}", [sys.executable, "-m", "dvc", *again])
    entry = read_lock(root)[spec.stage]
    with translate_errors(DispatchError, "could not put the outputs into the DVC remote", passed_on=DispatchError):
        for path in spec.outputs:
            upload_path(objects, root / path, hash_path(root / path))
    return {"entry": entry, "job": load(spec.backend).describe_job(root), "reported": kept_numbers(root)}


def join_stage(root: Path, spec: JobSpec) -> None:
    """Runs the stage of the spec in `root` together with another machine, which has its outputs and the report.

    Without dvc, which would miss the outputs. Raises DispatchError with the phase that failed and why.
    """
    _bring_inputs(root, spec)
    _run(f"run stage {spec.stage}", shlex.split(read_pipeline(root).stages[spec.stage].cmd))


def _bring_inputs(root: Path, spec: JobSpec) -> Objects:
    _configure_dvc(root, spec)
    objects = Objects(Places(root))
    # not `dvc pull` and `dvc push`: what S3 refuses is lost in what they say
    with translate_errors(DispatchError, "could not bring the inputs", passed_on=DispatchError):
        objects.fetch_all({root / path: md5 for path, md5 in spec.inputs.items()})
    for path, md5 in spec.inputs.items():
        found = hash_path(root / path).md5
        if found != md5:
            raise DispatchError(f"{path} came from the DVC remote as {found}, it must be {md5}.")
    return objects


def _configure_dvc(root: Path, spec: JobSpec) -> None:
    config = configparser.ConfigParser(interpolation=None)
    config["core"] = {"analytics": "false", "autostage": "false", "remote": spec.remote["name"]}
    if not spec.has_git:
        config["core"]["no_scm"] = "true"
    settings = {key: value for key, value in spec.remote.items() if key != "name"}
    config[f"'remote \"{spec.remote['name']}\"'"] = settings
    with (root / ".dvc" / "config.local").open("w", encoding="utf-8") as file:
        config.write(file)


def _run(what: str, command: list[str]) -> None:
    """Runs dvc, or a stage, and shows its output.

    Raises DispatchError if it fails, with the first error that it printed and its last lines: the reason of a job is
    cut after a thousand characters, and what follows a first error is often its consequence.
    """
    first, last = "", deque[str](maxlen=LAST_LINES)
    path = os.pathsep.join([this_python(), os.environ.get("PATH", "")])
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    options["start_new_session"] = True  # a group that a signal can be handed on to
    with subprocess.Popen(command, env={**os.environ, "PATH": path}, **options) as process:  # type: ignore[call-overload]
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                text = line.strip()
                if text and not line.startswith(("Running stage", ">")) and "━" not in line:
                    last.append(text)
                    first = first or (text[:LONGEST] if ERROR.search(text) else "")
        except KeyboardInterrupt:
            _hand_on(process)
            raise
    if process.returncode != 0:
        shown = [first] if first and first not in last else []
        raise DispatchError(f"could not {what}: {' / '.join([*shown, *last])}")


def _hand_on(process: subprocess.Popen[str]) -> None:
    """Ends a command and what it has started, which may have to note where it is; shows what they say."""
    with uninterrupted():
        os.killpg(process.pid, signal.SIGTERM)
        for line in process.stdout or ():
            print(line, end="", flush=True)


def this_python() -> str:
    """A folder where `python` is this Python: stages are run as `python -I ...`. Some images have another one there."""
    beside = Path(sys.executable).with_name("python")
    if beside.exists() and beside.resolve() == Path(sys.executable).resolve():
        return str(beside.parent)
    folder = Path(tempfile.mkdtemp())  # a script, because a link to the Python of an environment would leave that
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    script.chmod(0o755)
    return str(folder)
