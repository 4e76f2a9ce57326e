"""Runs `lineage` commands without importing everything again: a fork of a process that has imported it already.

Started with the project's Python. Each line of standard input is a JSON object with `cwd`, `arguments` and
`environment`; each line of standard output the exit code, the output and the error output of that command.
"""

import gc
import importlib
import json
import os
import sys
import tempfile

PRELOADED = ("dvc.repo", "mlflow", "mlflow.store.tracking.sqlalchemy_store", "pyarrow.parquet", "rich.tree", "jinja2")


def main():
    cli = importlib.import_module("lineage.cli")
    for name in (*PRELOADED, "lineage.proof.targets", "lineage.proof.verify", "lineage.pipeline.registration"):
        importlib.import_module(name)
    importlib.import_module("mlflow.store.model_registry.sqlalchemy_store")
    gc.collect()
    gc.freeze()  # or else each child goes through all of this, and copies it
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            pid = os.fork()
            if pid == 0:
                run(cli, request, output, errors)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            output.seek(0)
            errors.seek(0)
            print(json.dumps([code, output.read().decode(), errors.read().decode()]), flush=True)


def run(cli, request, output, errors):
    """The command itself, in the child, which ends here."""
    code = 1
    try:
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        os.chdir(request["cwd"])
        os.environ.update(request["environment"])
        sys.argv = ["lineage", *request["arguments"]]
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


main()
