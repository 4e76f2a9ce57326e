"""Inside a job: brings the inputs by hash, runs the very stage, puts the outputs into the DVC remote, and reports.

Started by launch.py, in the folder of the unpacked project. Needs no Git.
"""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path

from ..errors import DispatchError
from ..lineage.hashes import hash_path
from ..lineage.packages import LOCK, differences
from ..pipeline.dvcfile import read_lock
from .aws import Aws
from .launch import fail
from .ticket import Ticket, job_of_this_process, ticket_of_this_job

LAST_LINES = 12  # of a command's output, less dvc's own and progress bars, in the reason of a failure


def main() -> None:
    """Exits non-zero, and leaves the reason where SageMaker looks for it, if anything is not as it must be."""
    try:
        ticket = ticket_of_this_job()
        if ticket is None:
            raise DispatchError("this is no job: launch.py starts it inside of one.")
        run(Path.cwd(), ticket)
    except Exception as error:
        fail(str(error) or type(error).__name__)


def run(root: Path, ticket: Ticket) -> None:
    """The whole job. Raises DispatchError with the phase that failed and why."""
    aws = Aws()
    if ticket.secret:
        os.environ.update(aws.secret(ticket.secret))
    if ticket.install == "image" and (wrong := differences(root / LOCK)):
        raise DispatchError(f"this image is not as {LOCK} says: {wrong[0]}. Build it anew from the Dockerfile.")
    _configure_dvc(root, ticket)
    if ticket.inputs:
        _dvc("bring the inputs", "pull", "--quiet", *ticket.inputs)
    for path, md5 in ticket.inputs.items():
        found = hash_path(root / path).md5
        if found != md5:
            raise DispatchError(f"{path} came from the DVC remote as {found}, it must be {md5}.")
    _dvc(f"run stage {ticket.stage}", "repro", "--single-item", "--force", ticket.stage)
    entry = read_lock(root)[ticket.stage]
    _dvc("put the outputs into the DVC remote", "push", "--quiet", *ticket.outputs)
    report = {"entry": entry, "job": job_of_this_process(root)}
    aws.write(ticket.report, json.dumps(report, indent=2).encode())
    print(f"stage {ticket.stage} is done; its outputs are in {ticket.remote['url']}.", flush=True)


def _configure_dvc(root: Path, ticket: Ticket) -> None:
    config = configparser.ConfigParser(interpolation=None)
    config["core"] = {"analytics": "false", "autostage": "false", "remote": ticket.remote["name"]}
    if ticket.git is None:
        config["core"]["no_scm"] = "true"
    settings = {key: value for key, value in ticket.remote.items() if key != "name"}
    config[f"'remote \"{ticket.remote['name']}\"'"] = settings
    with (root / ".dvc" / "config.local").open("w", encoding="utf-8") as file:
        config.write(file)


def _dvc(what: str, *arguments: str) -> None:
    """Runs a dvc command and shows its output. Raises DispatchError with the last lines of it if it fails."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    command = [sys.executable, "-m", "dvc", *arguments]
    # stages are run as `python -I ...`, which must be this Python
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(command, env={**os.environ, "PATH": path}, **options) as process:  # type: ignore[call-overload]
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.strip() and not line.startswith(("Running stage", ">")) and "━" not in line:
                last.append(line.strip())
    if process.returncode != 0:
        raise DispatchError(f"could not {what}: {' / '.join(last)}")


if __name__ == "__main__":
    main()
