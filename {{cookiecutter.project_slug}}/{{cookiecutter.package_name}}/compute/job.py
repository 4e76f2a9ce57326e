"""Inside a job: brings the inputs by hash, runs the stage, puts the outputs into the DVC remote, and reports.

Started by launch.py, in the folder of the unpacked project. Needs no Git.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DispatchError, ProjectError
from ..lineage.denied import reason_of
from ..lineage.hashes import hash_path
from ..lineage.packages import LOCK, differences
from ..pipeline.dvcfile import read_lock
from ..proof.objects import Objects
from .aws import Aws
from .launch import fail
from .ticket import Ticket, job_of_this_process, ticket_of_this_job

ERROR = re.compile(r"error|denied|refused|exception|cannot|could not", re.IGNORECASE)
LONGEST = 400  # characters of the first error
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
        raise DispatchError(f"this image is not as {LOCK} says: {wrong[0]}. Build it again from the Dockerfile.")
    _configure_dvc(root, ticket)
    objects = Objects(root)
    # not `dvc pull` and `dvc push`: what S3 refuses is lost in what they say
    with _saying("bring the inputs"):
        objects.fetch_all({root / path: md5 for path, md5 in ticket.inputs.items()})
    for path, md5 in ticket.inputs.items():
        found = hash_path(root / path).md5
        if found != md5:
            raise DispatchError(f"{path} came from the DVC remote as {found}, it must be {md5}.")
    _dvc(f"run stage {ticket.stage}", "repro", "--single-item", "--force", ticket.stage)
    entry = read_lock(root)[ticket.stage]
    with _saying("put the outputs into the DVC remote"):
        for path in ticket.outputs:
            objects.keep(root / path, hash_path(root / path))
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


@contextmanager
def _saying(what: str) -> Iterator[None]:
    try:
        yield
    except ProjectError as error:
        raise DispatchError(f"could not {what}: {error}") from error
    except Exception as error:  # whatever a remote raises: their classes have nothing in common
        raise DispatchError(f"could not {what}: {reason_of(error)}") from error


def _dvc(what: str, *arguments: str) -> None:
    """Runs a dvc command and shows its output.

    Raises DispatchError if it fails, with the first error that it printed and its last lines: the reason of a job is
    cut after a thousand characters, and what follows a first error is often its consequence.
    """
    first, last = "", deque[str](maxlen=LAST_LINES)
    command = [sys.executable, "-m", "dvc", *arguments]
    # stages are run as `python -I ...`, which must be this Python
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(command, env={**os.environ, "PATH": path}, **options) as process:  # type: ignore[call-overload]
        for line in process.stdout:
            print(line, end="", flush=True)
            text = line.strip()
            if text and not line.startswith(("Running stage", ">")) and "━" not in line:
                last.append(text)
                first = first or (text[:LONGEST] if ERROR.search(text) else "")
    if process.returncode != 0:
        told = [first] if first and first not in last else []
        raise DispatchError(f"could not {what}: {' / '.join([*told, *last])}")


if __name__ == "__main__":
    main()
