"""What a command takes: CPU seconds, seconds on the clock, memory."""

import os
import subprocess
import threading
import time
from typing import NamedTuple

import psutil

LOOK = 0.05  # seconds between two looks at the memory


class Taken(NamedTuple):
    """CPU seconds, its children's included; seconds on the clock; the most bytes that all its processes had."""

    cpu: float
    clock: float
    memory: int

    def __str__(self):
        return f"{self.cpu:7.1f} s of CPU, {self.clock:7.1f} s, {self.memory / 2**20:6.0f} MiB"


def taken(command, **options):
    """Runs a command to its end. Raises CalledProcessError, with what it has printed, if that is not a good one."""
    clock = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    peak, ended = [0], threading.Event()

    def look():
        while not ended.wait(LOOK):
            peak[0] = max(peak[0], memory(process.pid))

    watch = threading.Thread(target=look)
    watch.start()
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    passed = time.monotonic() - clock
    ended.set()
    watch.join()
    if process.returncode:
        print(output)
        raise subprocess.CalledProcessError(process.returncode, command)
    return Taken(usage.ru_utime + usage.ru_stime, passed, peak[0]), output


def memory(pid):
    """Bytes of a process and its children, pages that several of them share once."""
    total = 0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total
