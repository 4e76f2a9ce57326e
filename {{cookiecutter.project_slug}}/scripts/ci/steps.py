"""How jobs run commands: with what they need and no more, and again where a network may have failed."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# what only this program, and Git where it asks the remote, may use: no stage is given them
KEPT_BACK = (
    "LINEAGE_CI_TOKEN",
    "LINEAGE_MAIN_TOKEN",
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
ENDS = ("SIGINT", "SIGTERM", "SIGHUP")  # by which a service cancels a job, and a person ends one
LONGEST = 60  # seconds that the rest of a command is waited for then


class StopError(Exception):
    """Ends the job, with a sentence that says why and what to do."""


class OutdatedError(StopError):
    """The branch has gone on: the job of its newest commit answers for it, and this one has nothing to say."""


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
        with _handing_on_signals() as to:
            # a group of its own: what ends this job reaches all that the command has started
            options = {"env": environment(**variables), "stdin": subprocess.DEVNULL, "process_group": 0}
            process = subprocess.Popen(command, **options)
            to(process)
            status = process.wait()
        if status == 0:
            break
    return status


@contextmanager
def _handing_on_signals():
    """What asks this program to end goes to a command, as Ctrl-C would: stages stop their jobs at SageMaker then.

    A service asks the shell of a job alone, or what took its place, and kills all some seconds later. Ends the program
    when the command has ended.
    """
    received, groups = [], []
    numbers = [number for name in ENDS if (number := getattr(signal, name, None))]
    before = {number: signal.getsignal(number) for number in numbers}
    # where Ctrl-C is ignored, as in what a shell runs in the background, the command ignores it too
    end = signal.SIGTERM if before[signal.SIGINT] == signal.SIG_IGN else signal.SIGINT

    def receive(number, _):
        received.append(number)
        hand_on()

    def to(process):
        groups.append(process.pid)
        if received:
            hand_on()

    def hand_on():
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, end)

    for number in numbers:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, receive)
    try:
        yield to
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        print(f"ci: cancelled by signal {received[0]}.", flush=True)
        _wait_for(groups[0])
        sys.exit(128 + received[0])


def _wait_for(group):
    """Waits for what a command has started and not waited for: with this program, the service would end it too."""
    ends = time.monotonic() + LONGEST
    with suppress(ProcessLookupError):
        while time.monotonic() < ends:
            os.killpg(group, 0)
            time.sleep(0.1)


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
