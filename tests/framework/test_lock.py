from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lineage.base.env import DVC_STAGE
from lineage.base.errors import StageRunningError
from lineage.run.lock import StageLock

# holds the lock of a stage until its standard input ends
HOLDER = """
import sys
from pathlib import Path

from lineage.run.lock import StageLock

with StageLock(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""

# plays the dvc that starts a stage
DVC = """
import subprocess, sys

subprocess.run([sys.executable, "-B", "-c", *sys.argv[1:]])
"""

# says what it thinks of its caller each time a line comes in
STAGE = """
import sys

from lineage.base.errors import AbandonedError
from lineage.run.lock import ParentProcess

caller = ParentProcess()
print("started", flush=True)
for _ in sys.stdin:
    try:
        caller.check()
    except AbandonedError as error:
        print(error, flush=True)
    else:
        print("fine", flush=True)
"""


@contextmanager
def process(root: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that is over when the block ends."""
    with subprocess.Popen(
        [sys.executable, "-B", "-c", *arguments],
        cwd=root,
        env={key: value for key, value in os.environ.items() if key != DVC_STAGE} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def answer(child: subprocess.Popen[str], line: str | None = None) -> str:
    """The next line that `child` prints, after it was sent `line`."""
    assert child.stdin is not None
    assert child.stdout is not None
    if line is not None:
        child.stdin.write(line + "\n")
        child.stdin.flush()
    return child.stdout.readline().strip()


def test_a_second_process_is_refused_with_the_id_of_the_first(tmp_path: Path, root: Path) -> None:
    with process(root, HOLDER, str(tmp_path), "train") as first:
        assert answer(first) == "held"
        with pytest.raises(StageRunningError, match=rf"process {first.pid}, .*`kill {first.pid}`"):
            StageLock(tmp_path, "train").__enter__()


def test_another_stage_and_another_folder_are_not_refused(tmp_path: Path, root: Path) -> None:
    with process(root, HOLDER, str(tmp_path), "train") as first:
        assert answer(first) == "held"
        with StageLock(tmp_path, "evaluate") as other, StageLock(tmp_path / "experiment", "train") as elsewhere:
            assert (other.stage, elsewhere.stage) == ("evaluate", "train")


def test_a_refused_process_does_not_take_the_lock_away(tmp_path: Path, root: Path) -> None:
    with process(root, HOLDER, str(tmp_path), "train") as first:
        assert answer(first) == "held"
        for _ in range(2):
            with pytest.raises(StageRunningError, match=str(first.pid)):
                StageLock(tmp_path, "train").__enter__()


def test_a_killed_process_holds_no_lock(tmp_path: Path, root: Path) -> None:
    with process(root, HOLDER, str(tmp_path), "train") as first:
        assert answer(first) == "held"
        first.kill()
        first.wait()
        with StageLock(tmp_path, "train"):
            pass
    assert list((tmp_path / ".dvc" / "tmp" / "stages").glob("*.pid")) == []


def test_a_stage_notices_that_the_dvc_that_started_it_is_gone(root: Path) -> None:
    with process(root, DVC, STAGE, **{DVC_STAGE: "train"}) as dvc:
        assert answer(dvc) == "started"
        assert answer(dvc, "well?") == "fine"
        dvc.kill()
        dvc.wait()
        assert "the dvc that started this stage is gone" in answer(dvc, "well?")


def test_a_stage_that_was_started_by_hand_goes_on_alone(root: Path) -> None:
    with process(root, DVC, STAGE) as shell:
        assert answer(shell) == "started"
        shell.kill()
        shell.wait()
        assert answer(shell, "well?") == "fine"
