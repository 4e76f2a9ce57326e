"""What the pipeline costs beside its work, against three plain scripts in the same run.

    python benchmarks/startup.py PROJECT [--times 5]

`PROJECT` is a freshly baked project after `make setup`; a copy of it is run. Run with the project's own Python.
Figures are medians of CPU seconds: of the commands, their children, and the process that stages and commands share to
talk to MLflow. Cold, that is ended after each run, so that the next one pays for it again; warm, it is there already,
and what it does for the command counts. The two take turns: machines are noisy.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psutil

PLAIN = Path(__file__).with_name("plain")
MODEL = "models:/{name}@candidate"
# Python's own, which would change what is measured
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DVC_", "MLFLOW_"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--times", type=int, default=5, help="how often each is run")
    options = parser.parse_args()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors ({processor()}), Python {platform.python_version()}"
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), options.project.resolve())
        pipeline(place, options.times)
        commands(place, options.times)


class Place:
    """A copy of the project, a folder for the plain scripts, and the environment that both run in."""

    def __init__(self, folder, project):
        self.runtime = folder / "run"  # where the shared process is found
        self.runtime.mkdir()
        self.project = folder / project.name
        shutil.copytree(project, self.project, symlinks=True, ignore=shutil.ignore_patterns(".venv"))
        self.plain = folder / "plain"
        shutil.copytree(PLAIN, self.plain)
        path = os.pathsep.join([str(Path(sys.executable).parent), CLEAN["PATH"]])
        self.environment = {**CLEAN, "PATH": path, "XDG_RUNTIME_DIR": str(self.runtime)}
        remote = folder / "remote"
        self.run(self.project, "dvc", "remote", "modify", "--local", "storage", "url", str(remote))

    def run(self, folder, *command, codes=(0,)):
        done = subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode not in codes:
            sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")

    def measured(self, folder, *commands, codes=(0,), keep=False):
        """CPU seconds of commands in turn, and of the process that they share, which is ended unless `keep`."""
        earlier = {process.pid: cpu(process) for process in self._shared()}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for command in commands:
            self.run(folder, *command, codes=codes)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        spent += sum(cpu(process) - earlier.get(process.pid, 0) for process in self._shared())
        if not keep:
            self.end_shared()
        return spent

    def end_shared(self):
        for process in self._shared():
            process.kill()

    def _shared(self):
        every = psutil.process_iter(["cmdline"])
        return [each for each in every if str(self.runtime) in " ".join(each.info["cmdline"] or ())]


def pipeline(place, times):
    """All stages of the default project, of which none has run before, against preprocess, train and register."""
    scripts = [(sys.executable, f"{name}.py") for name in ("preprocess", "train", "register")]
    ours, plain = [], []
    for _ in range(times + 1):
        plain.append(place.measured(place.plain, *scripts))
        ours.append(place.measured(place.project, ("dvc", "repro", "--force", "--no-run-cache")))
    # the first of each makes the tables of the store, and whatever is compiled once
    a, b = statistics.median(ours[1:]), statistics.median(plain[1:])
    print(f"dvc repro --force: {a:.1f} s; the plain scripts: {b:.1f} s; {a / b:.2f} times")
    print(f"  the first time: {ours[0]:.1f} s and {plain[0]:.1f} s")


def commands(place, times):
    """Commands about one model, which is committed and pushed."""
    place.run(place.project, "git", "add", "--all")
    place.run(place.project, "git", "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message", "A model")
    place.run(place.project, "dvc", "push", "--quiet")
    lineage = (sys.executable, "-m", "lineage.cli")  # the script would run the code that the environment was made for
    place.run(place.project, *lineage, "link")
    model = MODEL.format(name=place.project.name)
    for arguments in (("verify", model), ("trace", model)):
        cold, warm = [], []
        for _ in range(times):
            place.end_shared()
            cold.append(place.measured(place.project, (*lineage, *arguments), keep=True))
            warm.append(place.measured(place.project, (*lineage, *arguments)))
        a, b = statistics.median(warm), statistics.median(cold)
        print(f"lineage {' '.join(arguments)}: {a:.2f} s warm, {b:.2f} s cold")
    for arguments in (("doctor",), ("--help",)):
        # doctor may have something to say about this copy
        command, codes = (*lineage, *arguments), (0, 1) if arguments == ("doctor",) else (0,)
        spent = statistics.median(place.measured(place.project, command, codes=codes) for _ in range(times))
        print(f"lineage {' '.join(arguments)}: {spent:.2f} s")


def cpu(process):
    times = process.cpu_times()
    return times.user + times.system


def processor():
    names = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return next(names, "unknown").partition(":")[2].strip()


if __name__ == "__main__":
    main()
