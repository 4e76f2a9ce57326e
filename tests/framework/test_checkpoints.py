"""What an execution saves of its progress: whole after every kill, for its own inputs alone, and every end is noted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lineage.base.errors import AbandonedError
from lineage.run.checkpoints import KEPT, STATE, Shelf, facts_of, key_of

INPUTS = {"cmd": "python train.py", "params": {"train": {"lr": 0.1}}, "deps": {"data": "a1.dir"}}


def opened(folder: Path, **execution: Any) -> Shelf:
    shelf = Shelf.among(folder, INPUTS)
    assert shelf.open(execution)
    return shelf


def test_the_next_execution_finds_what_was_saved_last(tmp_path: Path) -> None:
    first = opened(tmp_path, run_id="r1")
    assert first.checkpoints.load() is None
    for epoch in (1, 2):
        first.checkpoints.save(f"state {epoch}\n".encode(), epoch)
    first.close()  # as the system does for who is killed
    second = opened(tmp_path, run_id="r2")
    assert second.checkpoints.load() == b"state 2\n"
    (one,) = second.interruptions()
    assert (one["run_id"], one["epochs"], one["ended"]) == ("r1", 2, "unknown")
    assert one["begun"] <= one["saved"] <= one["resumed"]
    second.note_end(AbandonedError("nobody waits"))
    second.close()
    third = opened(tmp_path, run_id="r3")  # and takes nothing up
    one, two = third.interruptions()
    assert two["run_id"] == "r2"
    assert two["ended"].startswith("AbandonedError: nobody waits (20")
    assert (two["epochs"], two["saved"]) == (0, None)
    assert facts_of(third.interruptions())["interruptions"] == "2"
    assert facts_of(third.interruptions())["interrupted_after_epochs"] == "2, 0"


def test_nothing_is_left_of_one_that_ended_well(tmp_path: Path) -> None:
    shelf = opened(tmp_path)
    shelf.checkpoints.save(b"state", 1)
    shelf.clear()
    assert list(tmp_path.iterdir()) == []
    again = opened(tmp_path)
    assert again.checkpoints.load() is None
    assert again.interruptions() == []


@pytest.mark.parametrize("change", [{"cmd": "other"}, {"params": {"train": {"lr": 0.2}}}, {"deps": {"data": "b1.dir"}}])
def test_other_inputs_have_another_place(change: dict[str, Any], tmp_path: Path) -> None:
    shelf = opened(tmp_path)
    shelf.checkpoints.save(b"state", 1)
    other = Shelf.among(tmp_path, INPUTS | change)
    assert other.checkpoints.folder != shelf.checkpoints.folder
    # and where somebody puts it there, it says whose it is
    assert other.open({})
    (shelf.checkpoints.folder / STATE).rename(other.checkpoints.folder / STATE)
    assert other.checkpoints.load() is None


def test_another_machine_or_a_damaged_one_begins_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = opened(tmp_path)
    here = replace(shelf.checkpoints, made_on={"threads": 2, "torch": "2.13"})
    here.save(b"state", 3)
    assert here.load() == b"state"
    assert replace(here, made_on={"threads": 1, "torch": "2.13"}).load() is None
    assert "this machine would give other bits (threads was 2 and is 1)" in capsys.readouterr().err
    saved = (here.folder / STATE).read_bytes()
    for damaged in (saved[:-1], saved + b"x", saved.replace(b"state", b"stale"), saved[40:], b"", b"\n", b"[]\nstate"):
        (here.folder / STATE).write_bytes(damaged)
        assert here.load() is None
        assert "it is damaged" in capsys.readouterr().err


def test_one_whose_beginning_nobody_noted_counts_as_an_interruption(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.checkpoints.save(b"state", 4)
    (first.checkpoints.folder / "executions.json").write_text('[{"beg')
    first.close()
    second = opened(tmp_path)
    assert second.checkpoints.load() == b"state"
    (one,) = second.interruptions()
    assert (one["begun"], one["epochs"]) == ("unknown", 4)


def test_a_place_that_is_deleted_meanwhile_ends_nothing(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.checkpoints.save(b"state", 1)
    first.close()
    second = opened(tmp_path)
    for path in second.checkpoints.folder.iterdir():
        path.unlink()
    second.checkpoints.folder.rmdir()
    assert [one["epochs"] for one in second.interruptions()] == [0]
    second.note_end(KeyboardInterrupt())
    second.checkpoints.save(b"state", 2)
    assert (second.checkpoints.folder / STATE).exists()


def test_a_full_disk_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = opened(tmp_path)
    (shelf.checkpoints.folder / f"{STATE}.new").mkdir()
    shelf.checkpoints.save(b"state", 7)
    assert "warning: no checkpoint after epoch 7" in capsys.readouterr().err


def test_two_at_the_same_time_do_not_share(tmp_path: Path) -> None:
    first = opened(tmp_path)
    assert not Shelf.among(tmp_path, INPUTS).open({})
    first.close()
    assert Shelf.among(tmp_path, INPUTS).open({})


def test_what_nobody_came_back_to_is_removed(tmp_path: Path) -> None:
    old, held = tmp_path / "old", tmp_path / key_of(INPUTS)[:16]
    shelf = opened(tmp_path)
    old.mkdir()
    past = time.time() - KEPT - 10
    for folder in (old, held):
        os.utime(folder, (past, past))
    Shelf.among(tmp_path, {**INPUTS, "cmd": "other"})
    assert not old.exists()
    assert held.exists()  # somebody works with it
    shelf.close()


SAVER = """
import sys
from pathlib import Path
from lineage.run.checkpoints import Checkpoints

place = Checkpoints(Path(sys.argv[1]), "key")
epoch = 0
while True:
    epoch += 1
    place.save(bytes([epoch % 256]) * 3_000_000, epoch)
    print(epoch, flush=True)
"""


def test_a_kill_while_it_is_saved_leaves_a_whole_one(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    shelf = Shelf(tmp_path / "kept", INPUTS)
    place = replace(shelf.checkpoints, key="key")
    assert shelf.open({})
    for told in range(1, 6):
        command = [sys.executable, "-c", SAVER, str(place.folder)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(told):
                process.stdout.readline()
            process.kill()  # while it saves the next one
        data = place.load()
        assert data is not None
        assert len(data) == 3_000_000
        assert data[0] >= told
