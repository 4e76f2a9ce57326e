"""How long proofs take, against the usual way in the same run.

    python benchmarks/proof.py PROJECT [--calls 10]

`PROJECT` is a baked project that benchmarks/many_versions.py has filled. Run with the project's own Python. Figures are
CPU seconds of the commands, their children included, or medians: machines are shared and noisy.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMITS = 2000
REPEATS = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--calls", type=int, default=10, help="how many single calls are measured")
    options = parser.parse_args()
    os.chdir(options.project)
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}")
    all_at_once(options.calls)
    with tempfile.TemporaryDirectory() as folder:
        look_up(folder)
    with tempfile.TemporaryDirectory() as folder:
        hook(folder)


def all_at_once(calls):
    """`verify --all` against one call for each version."""
    # as a module: the script `lineage` would run the code of the project that the environment was made for
    lineage = [sys.executable, "-m", "lineage.cli"]
    together, output = measured([*lineage, "verify", "--all", "--json"])
    models = json.loads(output)["models"]
    states = sorted({model["state"] for model in models})
    chosen = [models[number * len(models) // calls]["model"] for number in range(calls)]
    single = statistics.median(measured([*lineage, "verify", model])[0] for model in chosen)
    usual = single * len(models)
    print(f"verify --all: {len(models)} versions, all {' or '.join(states)}, {together:.1f} s of CPU")
    print(f"  {len(models)} single calls: {usual:.0f} s (the median of {calls} is {single:.1f} s)")
    print(f"  {usual / together:.0f} times faster")


def look_up(folder):
    """One hash in many commits that each give dvc.lock another content: ours against Git's pickaxe."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    stream = "".join(
        f"commit refs/heads/main\ncommitter B <b@example.org> {1_700_000_000 + number} +0000\ndata 1\nx\n"
        f"M 100644 inline dvc.lock\ndata {len(lock(number))}\n{lock(number)}\n"
        for number in range(COMMITS)
    )
    subprocess.run(["git", "-C", folder, "fast-import", "--quiet"], input=stream, text=True, check=True)
    git(folder, "checkout", "--quiet", "main")
    wanted = f"{COMMITS // 2:032x}"
    script = (
        "from pathlib import Path; from lineage.git.history import History; import time; "
        f"t = time.monotonic(); c = History(Path({folder!r})).commits_holding({wanted!r}); "
        "assert len(c) == 1; print(time.monotonic() - t)"
    )
    ours = [float(measured([sys.executable, "-c", script])[1]) for _ in range(REPEATS)]
    pickaxe = ["git", "-C", folder, "log", "--all", "--full-history", "-m", f"-S{wanted}", "--", "dvc.lock"]
    usual = []
    for _ in range(REPEATS):
        start = time.monotonic()
        measured(pickaxe)
        usual.append(time.monotonic() - start)
    print(
        f"one hash in {COMMITS} commits: {statistics.median(ours):.2f} s; git log -S: {statistics.median(usual):.2f} s"
    )


def lock(number):
    """A dvc.lock of about the usual size."""
    entries = "".join(f"    - path: file{line}\n      md5: {line:032x}\n" for line in range(10**6, 10**6 + 100))
    return f"schema: '2.0'\nstages:\n  train:\n    deps:\n{entries}    - path: data\n      md5: {number:032x}\n"


def hook(folder):
    """What the hook adds to a commit that does not touch dvc.lock."""
    script = Path("scripts/post-commit").read_bytes()
    git(folder, "init", "--quiet", "--initial-branch=main")
    without = [commit_time(folder) for _ in range(21)]
    target = Path(folder) / ".git" / "hooks" / "post-commit"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(script)
    target.chmod(0o755)
    added = statistics.median(commit_time(folder) for _ in range(21)) - statistics.median(without)
    print(f"the hook adds {1000 * added:.0f} ms to a commit that does not touch dvc.lock (medians of 21)")


def commit_time(folder):
    (Path(folder) / "file.txt").write_text(str(time.monotonic_ns()))
    git(folder, "add", "file.txt")
    start = time.monotonic()
    git(folder, "-c", "user.name=B", "-c", "user.email=b@example.org", "commit", "--quiet", "--message", "x")
    return time.monotonic() - start


def measured(command):
    """CPU seconds of a command that must succeed, its children included, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, output


def git(folder, *arguments):
    subprocess.run(["git", "-C", folder, *arguments], check=True)


main()
