"""The first program in a job's container: unpacks the project, installs what it needs, hands over to job.py.

    python3 launch.py FOLDER

`FOLDER` holds the project or says which commit to clone, the lock, the spec, and this file. Standard library only,
until the lock is installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

PROJECT = "project"
ARCHIVE = "project.tar.gz"
LOCK = "requirements.lock"
JOB_SPEC = "job_spec.json"
WORK = Path("/opt/ml/work")  # on the job's volume
# from variables of the environment, so that no password stands in a command, an address or a file
ASKPASS = """#!/bin/sh
case "$1" in Username*) printf '%s' "$USER_OF_GIT" ;; *) printf '%s' "$GIT_PASSWORD" ;; esac
"""
OF_SPARK = ("PYTHONPATH", "PYSPARK_", "SPARK_")
FAILURE_FILES = ("/opt/ml/output/failure", "/opt/ml/output/message")  # of Training and of Processing jobs


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    try:
        spec = json.loads((folder / JOB_SPEC).read_text(encoding="utf-8"))
        WORK.mkdir(parents=True)
        kept = install(folder / LOCK, spec["image_packages"]) if spec["install"] == "lock" else {}
        project = clone(spec["git"]) if spec["git"] else unpack(folder)
    except Exception as error:
        fail(f"{type(error).__name__}: {error}")
    # the variables of the image's own Spark, which spark-submit has set, would bring its packages
    foreign = OF_SPARK if spec["spark"] else ()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment = {**inherited, "PIPELINE_JOB_SPEC": str(folder / JOB_SPEC), "PIPELINE_COMPUTE": "local"}
    environment["PIPELINE_IMAGE_PACKAGES"] = json.dumps(kept)
    os.chdir(project)
    os.execve(sys.executable, [sys.executable, "-m", "lineage.compute.sagemaker.job"], environment)  # noqa: S606


def unpack(folder: Path) -> Path:
    """The project that came with the job."""
    project = WORK / PROJECT
    project.mkdir()
    with tarfile.open(folder / ARCHIVE) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python has it from 3.11.4 on
        archive.extractall(project)  # noqa: S202
    return project


def clone(source: dict[str, str]) -> Path:
    """The project as it is in a commit of its repository."""
    repository = WORK / PROJECT
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    # with the path, as CodeCommit's helper needs it
    options = ("-c", f"credential.helper={source['credential']}", "-c", "credential.UseHttpPath=true")
    helper = list(options) if source["credential"] else []
    if source["secret"]:
        import boto3

        answer = boto3.client("secretsmanager").get_secret_value(SecretId=source["secret"])
        entries = json.loads(answer["SecretString"])
        script = WORK / "askpass"
        script.write_text(ASKPASS, encoding="utf-8")
        script.chmod(0o700)
        environment |= {
            "GIT_ASKPASS": str(script),
            "USER_OF_GIT": entries["username"],
            "GIT_PASSWORD": entries["password"],
        }
    for command in (
        ["git", *helper, "clone", "--quiet", "--no-checkout", "--", source["url"], str(repository)],
        ["git", "-C", str(repository), "checkout", "--quiet", "--detach", source["commit"]],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(
                f"{source['url']} cannot be cloned at {source['commit'][:12]}: {done.stderr.strip()[:700]}"
            )
    return repository / source["folder"]


def install(lock: Path, image_packages: Sequence[str]) -> dict[str, str]:
    """Installs the lock, less `image_packages` if the image has torch.

    Returns the image's versions of what was left out.
    """
    versions = torch_of_image()
    print(f"installing {lock.name}{', less the torch of this image' if versions else ''}", flush=True)
    wanted = WORK / LOCK
    text = lock.read_text(encoding="utf-8")
    wanted.write_text("".join(without(image_packages, text) if versions else text), encoding="utf-8")
    kept = WORK / "constraints.txt"
    kept.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), encoding="utf-8")
    # so that a package that asks for another torch fails loudly instead of replacing it
    environment = {**os.environ, "PIP_CONSTRAINT": str(kept), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--requirement", str(wanted)]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR")] or ["see the log"]
        raise RuntimeError(f"{lock.name} cannot be installed: {' '.join(errors)[:700]}")
    return versions


def torch_of_image() -> dict[str, str]:
    """Version by name of the torch packages that the image brings, with what they are built for (+cu126)."""
    script = (
        "from importlib.metadata import version, PackageNotFoundError\n"
        "for name in ('torch', 'torchvision'):\n"
        "    try: print(name, version(name))\n"
        "    except PackageNotFoundError: pass"
    )
    listed = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    pairs = (line.partition(" ") for line in listed.splitlines())
    return {name: version for name, _, version in pairs}


def without(names: Sequence[str], lock: str) -> Iterator[str]:
    """The lock's text in pieces, one a package with its hashes, less `names`; one that ends in `-` begins several."""
    begun = tuple(name for name in names if name.endswith("-"))
    piece: list[str] = []
    for line in [*lock.splitlines(keepends=True), "end"]:
        if piece and not line.startswith((" ", "\t")):
            name = piece[0].partition("=")[0].strip().lower()
            if name not in names and not name.startswith(begun):
                yield "".join(piece)
            piece = []
        piece.append(line)


def fail(reason: str) -> NoReturn:
    """Leaves the reason where SageMaker looks for it, for both kinds of jobs."""
    print(f"the job fails: {reason}", file=sys.stderr, flush=True)
    for path in map(Path, FAILURE_FILES):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason[:1000], encoding="utf-8")
    sys.exit(1)


if __name__ == "__main__":
    main()
