"""How many processors and physical cores a process may use, as Linux says it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lineage.base import workers
from lineage.base.workers import cores, processors

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not say")
STARTER = Path(workers.__file__).parents[2] / "scripts" / "stage.py"
COLLECTOR = Path(workers.__file__).with_name("collector.py")
MAY_USE = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """/sys of a machine each of whose processors is a core of its own."""
    for number in MAY_USE:
        share(tmp_path, {number})
    (tmp_path / "fs" / "cgroup").mkdir(parents=True)
    return tmp_path


def share(system: Path, numbers: set[int]) -> None:
    """Makes processors those of one core."""
    for number in numbers:
        place = system / "devices" / "system" / "cpu" / f"cpu{number}" / "topology"
        place.mkdir(parents=True, exist_ok=True)
        (place / "thread_siblings_list").write_text(f"{','.join(map(str, sorted(numbers)))}\n")


def test_a_core_counts_once_however_many_processors_it_has(system: Path) -> None:
    assert cores(system) == len(MAY_USE)
    share(system, MAY_USE)
    assert cores(system) == 1


def test_what_other_processes_may_use_does_not_count(system: Path) -> None:
    (one, *_) = MAY_USE
    os.sched_setaffinity(0, {one})
    try:
        assert cores(system) == processors() == 1
    finally:
        os.sched_setaffinity(0, MAY_USE)


def test_a_machine_that_says_nothing_of_cores(tmp_path: Path) -> None:
    assert cores(tmp_path) == len(MAY_USE)


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_container_may_grant_less(files: dict[str, str], granted: int | None, system: Path) -> None:
    for name, text in files.items():
        (system / "fs" / "cgroup" / name).parent.mkdir(exist_ok=True)
        (system / "fs" / "cgroup" / name).write_text(text)
    assert cores(system) == (len(MAY_USE) if granted is None else min(granted, len(MAY_USE)))


@pytest.mark.parametrize(("given", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_a_stage_that_wait_sleep_unless_somebody_says_otherwise(
    given: str | None, used: str, tmp_path: Path
) -> None:
    starter = tmp_path / "scripts" / "stage.py"
    starter.parent.mkdir()
    shutil.copyfile(STARTER, starter)
    (tmp_path / "asks.py").write_text("import os; print(os.environ['OMP_WAIT_POLICY']); raise SystemExit")
    (tmp_path / "lineage" / "base").mkdir(parents=True)
    shutil.copyfile(COLLECTOR, tmp_path / "lineage" / "base" / "collector.py")
    environment = {key: text for key, text in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    command = [sys.executable, "-I", str(starter), "asks"]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == f"{used}\n"
