"""Several processes that work together: what the first says is heard, and one that dies ends all, with its reason."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from lineage.base.errors import AbandonedError, RankError, SettingsError
from lineage.base.hosts import Hosts
from lineage.run.ranks import Rank, processes_here, work_in_ranks

ALONE = Hosts()
LONG = 600  # seconds: until somebody ends it


def sums(rank: Rank, numbers: list[int]) -> int:
    """Each adds its own number; the first tells of it."""
    import torch

    torch.distributed.init_process_group("gloo")
    own = torch.tensor(numbers[rank.number])
    torch.distributed.all_reduce(own)
    if rank.number == 0:
        rank.tell(("sum", int(own)))
        rank.tell("done")
    return int(own)


def dies(rank: Rank, way: str) -> None:
    """Rank 1 dies; the others miss it at once, and fail because of it."""
    import torch

    torch.distributed.init_process_group("gloo")
    torch.distributed.barrier()
    if rank.number == 1:
        if way == "killed":
            print("half of it is done", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if way == "silent":
            os._exit(3)
        raise ValueError("there are\nno numbers left")
    torch.distributed.all_reduce(torch.tensor(1))


def waits(rank: Rank, folder: Path) -> None:
    """Writes down its id, and waits to be ended."""
    (folder / f"{rank.number}.partial").write_text(str(os.getpid()))
    (folder / f"{rank.number}.partial").rename(folder / f"{rank.number}.pid")
    time.sleep(LONG)


def nobody(_: Any) -> None:
    raise AssertionError("nothing is told")


@pytest.fixture(autouse=True)
def others() -> set[psutil.Process]:
    """What earlier tests of this process have left running."""
    return set(psutil.Process().children(recursive=True))


def no_rank_is_left(others: set[psutil.Process]) -> bool:
    left = set(psutil.Process().children(recursive=True)) - others
    return all("resource_tracker" in " ".join(child.cmdline()) for child in left)


def test_the_first_is_heard_and_returns(capfd: pytest.CaptureFixture[str], others: set[psutil.Process]) -> None:
    heard: list[Any] = []
    assert work_in_ranks(sums, [3, 4], processes=2, hosts=ALONE, hear=heard.append) == 7
    assert heard == [("sum", 7), "done"]
    assert no_rank_is_left(others)
    assert "Traceback" not in capfd.readouterr().err


def test_who_hears_can_end_it(others: set[psutil.Process]) -> None:
    def refuse(_: Any) -> None:
        raise AbandonedError("nobody waits")

    with pytest.raises(AbandonedError, match="nobody waits"):
        work_in_ranks(sums, [3, 4], processes=2, hosts=ALONE, hear=refuse)
    assert no_rank_is_left(others)


@pytest.mark.parametrize(
    ("way", "said", "kept"),
    [
        ("fails", "rank 1 of 2 failed: ValueError: there are no numbers left.", "rank 1 of 2 failed: ValueError"),
        ("killed", "SIGKILL: the system does that where memory runs out.", "rank 1 of 2 was ended by SIGKILL"),
        ("silent", "rank 1 of 2 ended with status 3.", "rank 1 of 2 ended with status 3."),
    ],
)
def test_the_rank_that_died_first_is_named_with_its_reason(
    way: str, said: str, kept: str, others: set[psutil.Process]
) -> None:
    with pytest.raises(RankError) as caught:
        work_in_ranks(dies, way, processes=2, hosts=ALONE, hear=nobody)
    assert said in str(caught.value)
    assert str(caught.value.without_ids).startswith(kept)
    assert ("It said last: half of it is done" in str(caught.value)) == (way == "killed")
    assert no_rank_is_left(others)


def test_ranks_end_with_who_started_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # who is killed leaves an empty folder behind
    script = (
        "from pathlib import Path; from framework.test_ranks import *; "
        f"work_in_ranks(waits, Path({str(tmp_path)!r}), processes=2, hosts=ALONE, hear=nobody)"
    )
    with start(script) as process:
        ranks: list[psutil.Process] = []
        while len(ranks) < 2:
            assert process.poll() is None
            ranks = [psutil.Process(int(path.read_text())) for path in tmp_path.glob("*.pid")]
            time.sleep(0.05)  # between two looks at the condition
        process.kill()
        assert psutil.wait_procs(ranks, timeout=60)[1] == []


def test_every_machine_names_the_same_reason() -> None:
    """Two machines that are this one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    script = (
        "import sys; from framework.test_ranks import *\n"
        f"hosts = Hosts(2, int(sys.argv[1]), 'localhost', {port}, 'lo')\n"
        "try: work_in_ranks(dies, 'killed', processes=2, hosts=hosts, hear=nobody)\n"
        "except RankError as error: print('said:', error)"
    )
    with start(script, "0") as first, start(script, "1") as second:
        outputs = [process.communicate(timeout=300)[0] for process in (first, second)]
    said = [[line for line in output.splitlines() if line.startswith("said:")] for output in outputs]
    assert said[0] == said[1] != []
    assert "rank 1 of 2 on machine 2 of 2" in said[0][0]


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Python that finds what this one finds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, "-c", script, *arguments], text=True, env=environment, **output)  # type: ignore[call-overload, no-any-return]


def test_processes_are_shared_out_evenly() -> None:
    assert processes_here(6, Hosts(3, 1)) == 2
    with pytest.raises(SettingsError, match="4 processes cannot be shared out to 3 machines"):
        processes_here(4, Hosts(3, 1))
