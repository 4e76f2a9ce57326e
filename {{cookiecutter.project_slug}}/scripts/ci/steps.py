"""How jobs run commands: with what they need and no more, and again where a network may have failed."""

import os
import subprocess
import sys
import time
from pathlib import Path

# what only this program, and Git where it asks the remote, may use: no stage is given them
KEPT_BACK = (
    "LINEAGE_CI_TOKEN",
    "GITHUB_TOKEN",
    "CI_JOB_TOKEN",
    "AWS_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "LINEAGE_SIGNING_KEY",
    "LINEAGE_KEY_PASSWORD",
)
# what a service sets to an empty text where nobody has given a value
OPTIONAL = ("AWS_", "MLFLOW_", "PIPELINE_", "LINEAGE_", "WANDB_")
PAUSES = (3, 15)  # seconds before a command, or a request, is tried again


class StopError(Exception):
    """Ends the job, with a sentence that says why and what to do."""


def begin():
    """Makes the project's own commands the ones that are found, and leaves out variables without a value."""
    for name in [name for name, value in os.environ.items() if not value and name.startswith(OPTIONAL)]:
        del os.environ[name]
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    sys.stdout.reconfigure(line_buffering=True)  # in order with what the commands write


def environment(**more):
    """The environment of a command."""
    return {name: value for name, value in os.environ.items() if name not in KEPT_BACK} | more


def run(*command, tries=1, **variables):
    """Runs a command, shows it and what it says, and returns its exit status."""
    for attempt in range(tries):
        if attempt:
            time.sleep(PAUSES[min(attempt, len(PAUSES)) - 1])
        print(f"$ {' '.join(command)}")
        status = subprocess.run(command, env=environment(**variables), stdin=subprocess.DEVNULL, check=False).returncode
        if status == 0:
            break
    return status


def must(*command, tries=1, **variables):
    """The same, where nothing goes on without it."""
    if status := run(*command, tries=tries, **variables):
        raise StopError(f"`{' '.join(command)}` failed (exit status {status}): see above.")


def ask(*command, **variables):
    """Exit status and standard output of a command, which is not shown."""
    options = {"env": environment(**variables), "stdin": subprocess.DEVNULL, "check": False, "encoding": "utf-8"}
    done = subprocess.run(command, stdout=subprocess.PIPE, **options)
    return done.returncode, done.stdout.strip()


def answer(*command, **variables):
    """Standard output of a command that must not fail."""
    status, said = ask(*command, **variables)
    if status:
        raise StopError(f"`{' '.join(command)}` failed (exit status {status}).")
    return said
