"""Fills a baked project with many model versions: real stages, real commits, real registrations, without the waiting.

    python benchmarks/many_versions.py PROJECT --versions 200 --datasets 10

Run with the project's own Python. Stages are forked from one process that has imported everything; otherwise they are
what `dvc repro` runs. `dvc commit` writes their results into dvc.lock.
"""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

HEAVY = (
    "torch._dynamo",  # which optimizers import
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "sklearn.metrics",
    "sklearn.datasets",
    "dvc.repo",
    "dvc.utils.hydra",
    "hydra.utils",
    "pyarrow.parquet",
    "safetensors.torch",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--versions", type=int, default=200)
    parser.add_argument("--datasets", type=int, default=10)
    options = parser.parse_args()
    os.chdir(options.project)
    sys.path.insert(0, str(Path.cwd() / "scripts"))
    importlib.import_module("stage")  # the stages' own way to load the project: from its sources
    package = next(Path().glob("*/stages/train.py")).parents[1].name
    for name in HEAVY:
        importlib.import_module(name)
    for number in range(options.versions):
        dataset = number * options.datasets // options.versions
        first = number == 0 or dataset != (number - 1) * options.datasets // options.versions
        compose(f"data.fraction={0.3 + dataset / 100}", f"train.seed={number}", "train=debug")
        stages = ["config", "fetch"] * (number == 0) + ["config", "preprocess"] * first
        for stage in dict.fromkeys(["config", *stages, "train", "evaluate", "register"]):
            run_stage(package, stage)
        git("add", "--all")
        git("-c", "core.hooksPath=", "commit", "--quiet", "--message", f"Model {number}")
        print(f"{number + 1} of {options.versions}", flush=True)
    subprocess.run([Path(sys.executable).parent / "dvc", "push", "--quiet", "--all-commits"], check=True)


def compose(*overrides):
    composition = importlib.import_module("lineage.chain.composition")
    composition.compose_params(Path.cwd(), list(overrides))


def run_stage(package, stage):
    """Runs one stage in a fork, then lets dvc record what it made."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            module = importlib.import_module(f"{package}.stages.{stage}")
            runner = importlib.import_module("lineage.pipeline.runner")
            os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
            runner.run(module.__file__, module.work)
            from dvc.repo import Repo

            with Repo() as repo:
                repo.commit(stage, force=True)
            code = 0
        except SystemExit as end:
            code = end.code
        finally:
            sys.stdout.flush()
            os._exit(code if isinstance(code, int) else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        sys.exit(f"stage {stage} failed")


def git(*arguments):
    subprocess.run(["git", *arguments], check=True)


main()
