"""What lineage costs: the same stages with and without callbacks, in turns.

    python benchmarks/cost.py PROJECT [--times 5] [--epochs 10 410]

`PROJECT` is a freshly baked project after `make setup`; two copies of it are run, one of them with `callbacks=none`.
Run with the project's own Python. Figures are medians of CPU seconds: of `dvc repro --force --single-item STAGE`, its
children, and what the process that stages share does meanwhile. That one runs already, so its imports are not counted
(startup.py counts them). What an epoch costs is a matter of milliseconds, so it is measured with short ones: training
on a twentieth of the records, with few epochs and with many.
"""

import argparse
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from startup import Place, processor

STAGES = ("fetch", "preprocess", "train", "evaluate")
WAYS = ("mlflow", "none")
FRACTION = 0.05  # of the records, where epochs are to be short
LONG = 600  # seconds of the training of which the cost is said as a share
LENGTHS = (1.0, 10.0, 60.0)  # seconds of its epochs
STILL = 0.05  # CPU seconds in one second, below which a process waits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--times", type=int, default=5, help="how often each is run")
    parser.add_argument("--epochs", type=int, nargs=2, default=(10, 410), help="few and many")
    options = parser.parse_args()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors ({processor()}), Python {platform.python_version()}"
    )
    few, many = options.epochs
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(Path(folder) / way, options.project.resolve(), way, few) for way in WAYS]
        for stage in STAGES:
            taken = compared(copies, stage, options.times)
            said(stage, taken)
            if stage == "train":
                whole = cost(taken)
        shares(whole, epoch(copies, few, many, options.times))
        for copy in copies:
            copy.end()


class Copy(Place):
    """A copy of the project in which all stages have run, with callbacks or without."""

    def __init__(self, folder, project, way, epochs):
        folder.mkdir()
        super().__init__(folder, project)
        self.way = way
        self.compose(epochs)

    def compose(self, epochs, fraction=1.0):
        settings = (f"callbacks={self.way}", f"train.epochs={epochs}", f"data.fraction={fraction}")
        self.run(self.project, sys.executable, "-m", "lineage.cli", "compose", *settings)
        self.run(self.project, "dvc", "repro")

    def spent(self, stage):
        """CPU seconds of one stage that is run again."""
        self._wake()
        before = self._used()
        self.run(self.project, "dvc", "repro", "--force", "--single-item", "--no-run-cache", stage)
        return self._used() - before

    def end(self):
        for process in self._shared():
            process.kill()

    def _wake(self):
        """Has the shared process, if there is to be one, running and with nothing left to do."""
        self.run(self.project, "dvc", "repro", "--force", "--single-item", "--no-run-cache", "config")
        before = -1.0
        while (now := self._of_shared()) - before > STILL:
            before = now
            time.sleep(1)

    def _used(self):
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime + self._of_shared()

    def _of_shared(self):
        times = [process.cpu_times() for process in self._shared()]
        return sum(each.user + each.system for each in times)


def compared(copies, stage, times):
    """The median of each way, in turns."""
    seconds = {copy.way: [] for copy in copies}
    for number in range(times + 1):
        for copy in copies:
            spent = copy.spent(stage)
            if number:  # the first time, files are read from the disk
                seconds[copy.way].append(spent)
    return {way: statistics.median(values) for way, values in seconds.items()}


def said(what, taken):
    print(f"{what}: {taken['mlflow']:.2f} s; without callbacks {taken['none']:.2f} s; {cost(taken):+.2f} s", flush=True)


def epoch(copies, few, many, times):
    """The seconds of lineage in an epoch."""
    costs = []
    for epochs in (few, many):
        for copy in copies:
            copy.compose(epochs, FRACTION)
        taken = compared(copies, "train", times)
        said(f"train on {FRACTION:.0%} of the records, {epochs} epochs", taken)
        costs.append(cost(taken))
    return (costs[1] - costs[0]) / (many - few)


def shares(whole, an_epoch):
    """The part of lineage in a long training, for epochs of several lengths."""
    print(f"  an epoch: {an_epoch * 1000:.1f} ms")
    for length in LENGTHS:
        print(f"  ten minutes in epochs of {length:.0f} s: {(whole + LONG / length * an_epoch) / LONG:.2%}")


def cost(taken):
    return taken["mlflow"] - taken["none"]


if __name__ == "__main__":
    main()
