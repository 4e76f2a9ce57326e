"""Runs `lineage` and `dvc` without importing everything again: a fork of a process that has imported it already.

Started with the project's Python. Each line of standard input is a JSON object with `cwd`, `command`, `environment`
and `together`, whether both outputs are one; each line of standard output the exit code, the output and the error
output of that command. What a command had to import, the process imports after it, for those that follow.
"""

import gc
import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

PROGRAMS = {"lineage": "lineage.cli", "dvc": "dvc.cli"}
PRELOADED = (*PROGRAMS.values(), "dvc.cli.parser", "dvc.repo", "mlflow", "mlflow.store.tracking.sqlalchemy_store")
OF_PROJECTS = ("traceable_digits", "hydra_plugins")  # each has its own


def main():
    learn(PRELOADED)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as names:
            pid = os.fork()
            if pid == 0:
                run(request, output, output if request["together"] else errors, names)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            for file in (output, errors, names):
                file.seek(0)
            print(json.dumps([code, output.read().decode(), errors.read().decode()]), flush=True)
            learn(names.read().decode().split())


def learn(names):
    """Imports modules, and sees to it that no child looks through them for garbage, and copies them."""
    for name in names:
        if name.partition(".")[0] not in OF_PROJECTS:
            with suppress(Exception):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


def run(request, output, errors, names):
    """The command itself, in the child, which ends here."""
    code, known = 1, set(sys.modules)
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = request["command"]
        begin_as_python_does()
        code = importlib.import_module(PROGRAMS[sys.argv[0]]).main() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        names.write(" ".join(name for name in sys.modules if name not in known).encode())
        names.flush()
        os._exit(code)


def begin_as_python_does():
    """What a new process would run first: the guard of tests/cloud.py lies on PYTHONPATH."""
    for folder in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        start = Path(folder) / "sitecustomize.py"
        if start.exists():
            runpy.run_path(str(start))


main()
