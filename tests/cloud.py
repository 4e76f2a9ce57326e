"""A project whose stages are sent to SageMaker: the stand-in for AWS, an MLflow server on its S3, a baked project."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_standin import faults, image
from aws_standin.place import client_of
from baked import GUARD, Project, bake, remove_hooks, use_perceptron
from servers import aws_standin, mlflow_server

REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/jobs"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/pytorch:1"
OLD_IMAGE = IMAGE.replace(":1", ":old")  # brings another torch than the lock asks for
BUCKETS = ("the-data", "the-jobs", "the-artifacts")
SECRET = "s3cr3t-of-the-launcher"  # the AWS key here: it must not travel


@dataclass
class Cloud:
    """The running parts, and the project."""

    state: Path
    endpoint: str
    tracking: str
    project: Project

    def client(self, service: str) -> Any:
        return client_of(service, self.endpoint, REGION)

    def fail(self, request: str, **answer: Any) -> None:
        """Orders a fault for the next requests that match: see aws_standin/faults.py."""
        faults.order(self.state, request, **answer)

    @property
    def faults_left(self) -> int:
        return faults.left(self.state)

    def forget_faults(self) -> None:
        """Takes back what was ordered and not met."""
        faults.forget(self.state)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Every object of a bucket."""
        client = self.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def logs(self, job: str = "") -> str:
        """Everything that jobs have written, or those whose names begin with `job`."""
        client, lines = self.client("logs"), []
        for group in client.describe_log_groups()["logGroups"]:
            streams = client.describe_log_streams(logGroupName=group["logGroupName"])["logStreams"]
            for stream in (stream for stream in streams if stream["logStreamName"].startswith(job)):
                names = {"logGroupName": group["logGroupName"], "logStreamName": stream["logStreamName"]}
                lines += [event["message"] for event in client.get_log_events(**names, startFromHead=True)["events"]]
        return "\n".join(lines)

    def job_names(self) -> list[str]:
        """The names of all jobs, of both kinds, oldest first."""
        client = self.client("sagemaker")
        found = client.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
        found += client.list_processing_jobs(MaxResults=100)["ProcessingJobSummaries"]
        ordered = sorted(found, key=lambda job: job["CreationTime"])
        return [job.get("TrainingJobName") or job["ProcessingJobName"] for job in ordered]

    def job(self, name: str) -> dict[str, Any]:
        """The description of a job."""
        client = self.client("sagemaker")
        if client.list_training_jobs(NameContains=name)["TrainingJobSummaries"]:
            return dict(client.describe_training_job(TrainingJobName=name))
        return dict(client.describe_processing_job(ProcessingJobName=name))

    def jobs(self, known: int = 0) -> list[dict[str, Any]]:
        """The descriptions of all jobs after the first `known` ones, oldest first."""
        return [self.job(name) for name in self.job_names()[known:]]

    def left_the_machine(self) -> str:
        """The connections that processes tried to make to other machines."""
        log = self.state / "left.log"
        return log.read_text() if log.exists() else ""

    def copy(self, folder: Path) -> Project:
        """A copy of the project with its cache; the remote, the store and AWS are those of all copies."""
        shutil.copytree(self.project.root, folder / self.project.root.name, symlinks=True)
        return Project(folder / self.project.root.name, self.project.venv, dict(self.project.environment))


@contextlib.contextmanager
def cloud(
    folder: Path, installed: Project, mlflow: Path | None = None, images: dict[str, Path] | None = None
) -> Iterator[Cloud]:
    """Starts everything in `folder`; jobs find the packages of `installed`, and MLflow apps run those of `mlflow`.

    `images` are further ones, by URI.
    """
    guard = {"PYTHONPATH": str(GUARD), "LOOPBACK_ONLY": str(folder / "left.log")}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    # everything is installed; what is not cannot be had
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    old = old_image(folder / "old", installed.venv / "bin")
    with (
        warm_image(folder, installed) as executables,
        aws_standin(
            folder, {IMAGE: executables, OLD_IMAGE: old, **(images or {})}, mlflow=mlflow, **guard, **quiet, **offline
        ) as endpoint,
    ):
        keys = {"AWS_ACCESS_KEY_ID": "launcher", "AWS_SECRET_ACCESS_KEY": SECRET}
        where = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        environment = {**installed.environment, **keys, **where, **guard, **quiet}
        for bucket in BUCKETS:
            client_of("s3", endpoint, REGION).create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        root = bake(folder, dvc_remote_url="s3://the-data/dvc")
        remove_hooks(root)
        use_perceptron(root)
        project = Project(root, installed.venv, environment)
        _watch_stages(project)
        with mlflow_server(project, folder / "mlflow.db", "s3://the-artifacts/mlflow") as uri:
            yield Cloud(folder, endpoint, uri, project)


@contextlib.contextmanager
def warm_image(folder: Path, installed: Project) -> Iterator[Path]:
    """The executables of an image with the packages of `installed`, which do not import them again in each job."""
    name = f"image-{secrets.token_hex(8)}"
    process = installed.start("python", "-P", str(image.__file__), name, stdin=subprocess.PIPE, stderr=None)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        made = image.make(folder / "image", installed.venv / "bin", name)
        (made / "serve").symlink_to(installed.root / "scripts" / "serve")  # as the Dockerfile has it
        yield made
    finally:
        process.communicate(timeout=60)


def _watch_stages(project: Project) -> None:
    """Makes the guard watch stages as well, which follow no PYTHONPATH."""
    starter = project.root / "scripts" / "stage.py"
    guard = f"exec({(GUARD / 'sitecustomize.py').read_text()!r})\n"  # itself: an image that was built has no such file
    starter.write_text(starter.read_text().replace("import hashlib\n", f"{guard}import hashlib\n", 1))
    project.git("commit", "--quiet", "--all", "--amend", "--no-edit")


def old_image(folder: Path, executables: Path) -> Path:
    """Executables like those of another image, where torch says that it is an older version."""
    subprocess.run([executables / "python", "-m", "venv", "--without-pip", str(folder)], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    (others,) = executables.parent.glob("lib/python*/site-packages")
    # not by PYTHONPATH, which stages do not follow
    (own / "others.pth").write_text(f"{others}\n")
    (own / "torch-2.0.0.dist-info").mkdir()
    (own / "torch-2.0.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.0.0\n")
    pip = folder / "bin" / "pip3"
    pip.write_text(f'#!/bin/sh\nexec {folder}/bin/python -m pip "$@"\n')
    pip.chmod(0o755)
    return folder / "bin"


def settings(tracking: str, **sagemaker: str) -> list[str]:
    """Overrides that send stages to the stand-in."""
    sagemaker = {"role": ROLE, "bucket": "the-jobs", "image": IMAGE, **sagemaker}
    overrides = [f"compute.sagemaker.{key}={value}" for key, value in sagemaker.items()]
    return ["compute=sagemaker", f"tracking.uri={tracking}", *overrides]
