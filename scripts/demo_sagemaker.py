"""Runs the pipeline in SageMaker jobs, without an account: against the stand-in for AWS of the tests.

Bakes a project with an S3 remote, starts the stand-in and an MLflow server, runs `dvc repro` with `compute=sagemaker`,
and prints the proved chain. Everything lies in a temporary folder and is gone afterwards.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from aws_standin.container import can_run  # noqa: E402
from baked import Project  # noqa: E402
from cloud import IMAGE, Cloud, cloud, settings  # noqa: E402

CONFIG = "[user]\n\tname = demo\n\temail = nobody@localhost\n[init]\n\tdefaultBranch = main\n"


def main() -> None:
    if not can_run():
        sys.exit("This machine forbids mount namespaces (`unshare --mount`), in which the stand-in runs its jobs.")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "gitconfig").write_text(CONFIG)
        git = {"GIT_CONFIG_GLOBAL": str(Path(folder) / "gitconfig"), "DVC_NO_ANALYTICS": "1"}
        here = Project(Path(folder), Path(sys.prefix), git)
        with cloud(Path(folder), here) as running:
            run(running)
    print("\nThe project, the store and the buckets of this demonstration are deleted.")


def run(running: Cloud) -> None:
    """The pipeline from raw data to the proof, in the words of a terminal."""
    print(f"AWS is {running.endpoint}, MLflow is {running.tracking}, the image is {IMAGE}\n", flush=True)
    project = running.project
    lineage = ("python", "-m", "lineage.cli")
    call(project, *lineage, "compose", *settings(running.tracking))
    call(project, "dvc", "repro")
    call(project, "git", "add", "--all")
    call(project, "git", "commit", "--quiet", "--message", "First model")
    call(project, "dvc", "push", "--quiet")
    call(project, *lineage, "link")
    call(project, *lineage, "trace", "models:/traceable-digits@candidate")
    call(project, *lineage, "verify", "models:/traceable-digits@candidate", "--rehash")


def call(project: Project, *command: str) -> None:
    print(f"$ {' '.join(command)}", flush=True)
    code = project.start(*command, stdout=None, stderr=None).wait()
    if code != 0:
        sys.exit(code)


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    main()
