from __future__ import annotations

import signal
import subprocess
import sys

import pytest

LOST = """
import os, signal, sys
from lineage.run.interrupts import raise_on_signals, require_uninterrupted

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
raise_on_signals()
require_uninterrupted()
Finalized()
print("dropped", flush=True)
require_uninterrupted()
print("not reached")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_an_object_is_finalized_is_not_lost(number: int) -> None:
    command = [sys.executable, "-B", "-c", LOST, str(int(number))]
    done = subprocess.run(command, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=False)
    assert done.stdout == "dropped\n"
    assert "Exception ignored" in done.stderr
    assert f"KeyboardInterrupt: signal {int(number)}" in done.stderr.splitlines()[-1]
