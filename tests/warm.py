"""Runs `lineage`, `dvc` and stages in a fork of a process that has imported already what they would import again.

Started with the project's Python. Each line of standard input is a JSON object with `cwd`, `command`, `environment`,
`together`, whether both outputs are one, and `forks`, what of that which the command starts is a fork as well: "all",
"stages" or "none" (forks.py).
Each line of standard output is the exit code, the output and the error output of that command. What a command had to
import, the process imports after it, for those that follow.

`serve HOST PORT` in place of a command is the server of MLflow, set up by `environment`, which goes on: its line is the
number of the process alone. `log` is the file for what it says.
"""

import gc
import importlib
import json
import logging
import os
import runpy
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

import forks

PROGRAMS = {"lineage": "lineage.cli", "dvc": "dvc.cli"}
STARTERS = (("dvc", "repro"), ("dvc", "exp"), ("python", "-I"))  # the others start no stages: the helper costs 0.1 s
PRELOADED = (*PROGRAMS.values(), "dvc.cli.parser", "dvc.repo", "mlflow", "mlflow.store.tracking.sqlalchemy_store")
SERVER = ("uvicorn", "uvicorn.loops.auto", "uvicorn.protocols.http.auto", "mlflow.server.fastapi_app", "boto3")
OF_PROJECTS = ("traceable_digits", "hydra_plugins")  # each has its own
NOT_ALONE = ("sagemaker.mlops", "sagemaker.core.remote_function")  # import each other, in an order of their own


def main():
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as scripts/stage.py does, before torch is imported
    forks.compile_ahead()
    learn(PRELOADED)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["command"][0] == "serve":
            learn(SERVER)
            print(os.fork() or serve(request), flush=True)
            continue
        temporary = tempfile.TemporaryFile
        with temporary() as output, temporary() as errors, temporary("a+b") as names:
            pid = os.fork()
            if pid == 0:
                run(request, output, output if request["together"] else errors, names)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            for file in (output, errors, names):
                file.seek(0)
            print(json.dumps([code, output.read().decode(), errors.read().decode()]), flush=True)
            learn(names.read().decode().split())


def learn(names):
    """Imports modules, and sees to it that no child looks through them for garbage, and copies them.

    Some of them set up the log of the whole process: of SageMaker's SDK one, by which commands that never import it
    would say more than they do.
    """
    handlers, level = logging.root.handlers[:], logging.root.level
    for name in names:
        if name.partition(".")[0] not in OF_PROJECTS and not name.startswith(NOT_ALONE):
            with suppress(Exception):
                importlib.import_module(name)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
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
        if request["forks"] == "stages":
            forks.KINDS.discard(forks.SOURCE)
        if request["forks"] != "none" and tuple(request["command"][:2]) in STARTERS:
            forks.take_down(names.fileno())
            forks.prepare()
        sys.argv = request["command"]
        if sys.argv[0] == "python":
            forks.forget_projects()
            code = forks.run_python(sys.argv[1:])
        else:
            begin_as_python_does()
            code = importlib.import_module(PROGRAMS[sys.argv[0]]).main() or 0
    except SystemExit as end:
        code = forks.status(end)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(names.fileno(), " ".join(name for name in sys.modules if name not in known).encode())
        os._exit(code)


def serve(request):
    """The application that `mlflow server` serves, by the server that it starts, in the child, until that is ended."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for output in (1, 2):
        os.dup2(os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), output)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    begin_as_python_does()
    _, host, port = request["command"]
    importlib.import_module("uvicorn").run("mlflow.server.fastapi_app:app", host=host, port=int(port))
    os._exit(0)


def begin_as_python_does():
    """What a new process would do first: look into PYTHONPATH, where the guard of tests/cloud.py lies."""
    folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[1:1] = folders
    for folder in folders:
        start = Path(folder) / "sitecustomize.py"
        if start.exists():
            runpy.run_path(str(start))


main()
