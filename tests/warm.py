"""Runs `lineage` and `dvc` without importing everything again: a fork of a process that has imported it already.

Started with the project's Python. Each line of standard input is a JSON object with `cwd`, `command`, `environment`
and `together`, whether both outputs are one; each line of standard output the exit code, the output and the error
output of that command.
"""

import gc
import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path

PROGRAMS = {"lineage": "lineage.cli", "dvc": "dvc.cli"}
PRELOADED = (
    *PROGRAMS.values(),
    "dvc.cli.parser",
    "dvc.data_cloud",
    "dvc.repo.experiments.queue.celery",
    "dvc.repo.reproduce",
    "dvc.utils.hydra",
    "dvc_s3",
    "jinja2",
    "lineage.pipeline.registration",
    "lineage.proof.targets",
    "lineage.proof.verify",
    "mlflow",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "networkx",
    "pyarrow.parquet",
    "rich.tree",
    "s3fs",
)


def main():
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or else each child goes through all of this, and copies it
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            pid = os.fork()
            if pid == 0:
                run(request, output, output if request["together"] else errors)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            output.seek(0)
            errors.seek(0)
            print(json.dumps([code, output.read().decode(), errors.read().decode()]), flush=True)


def run(request, output, errors):
    """The command itself, in the child, which ends here."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        os.chdir(request["cwd"])
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
        os._exit(code)


def begin_as_python_does():
    """What a new process would run first: the guard of tests/cloud.py lies on PYTHONPATH."""
    for folder in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        start = Path(folder) / "sitecustomize.py"
        if start.exists():
            runpy.run_path(str(start))


main()
