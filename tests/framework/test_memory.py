"""A process that works through batches of one size asks the system for their memory once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lineage.base import memory

LIBRARY = Path(memory.__file__).parents[2]
PAGES = 2**26 // 4096  # of one block, at most: where pages are larger, there are fewer of them
SAYS_FAULTS = f"""
import resource, sys
sys.path.insert(0, {str(LIBRARY)!r})
from lineage.base.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def block():
    return len(b"x" * 2**26)
block()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    block()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is about glibc")
def test_freed_memory_is_used_again() -> None:
    asked = {
        way: int(subprocess.run([sys.executable, "-c", SAYS_FAULTS, way], capture_output=True, check=True).stdout)
        for way in ("kept", "as ever")
    }
    assert asked["kept"] < 100
    assert asked["as ever"] > PAGES  # else this says nothing
