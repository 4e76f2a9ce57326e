"""The image of the project's Dockerfile, which `make image` builds: jobs and an endpoint begin from its root alone."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aws_standin.container import NAMESPACE, can_layer
from aws_standin.roots import beginning, variables
from baked import TEMPLATE, Project
from cloud import Cloud, cloud, settings
from command import Lineage

from lineage.dvc.hashes import hash_tree

IMAGE = TEMPLATE / ".image"
INSIDE = TEMPLATE / "{{cookiecutter.project_slug}}"
BUILT = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/project:built"
MODEL = "models:/traceable-digits/1"
ENDPOINT = "traceable-digits"
COPIED = {  # what the image has of the project, and where
    "requirements.lock": "tmp/requirements.lock",
    "scripts/serve": "opt/project/scripts/serve",
    "lineage": "opt/project/lineage",
}


def why_not() -> str:
    """Why there is no image to run; empty if there is one."""
    if not can_layer():
        return "this machine forbids mount namespaces, in which containers run, or layers over a root file system"
    if (IMAGE / "why-not").is_file():
        return f"no image was built: {(IMAGE / 'why-not').read_text().strip()}"
    if not (IMAGE / "Dockerfile").is_file():
        return "no image was built: `make image` does, as root on Debian"
    if any(files(INSIDE / name) != files(IMAGE / "rootfs" / place) for name, place in COPIED.items()):
        return "the image was built from other files than these: `make image` builds it again"
    return ""


def files(path: Path) -> dict[str, bytes]:
    """The bytes of a file, or of all files in a folder that Git knows."""
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in found if file.parent.name != "__pycache__"}


WHY_NOT = why_not()


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_jobs_and_an_endpoint_begin_from_the_image(installed: Project, lineage: Lineage, tmp_path: Path) -> None:
    assert inside(tmp_path, "git", "--version").startswith("git version")  # for compute.sagemaker.source=git
    python = inside(tmp_path, "python", "-c", "import platform; print(platform.python_version())").strip()
    assert inside(tmp_path, "sh", "-c", f"ls -d {TEMPLATE} {installed.root} || true") == ""
    with cloud(tmp_path, installed, images={BUILT: IMAGE}) as sky:
        project = sky.project
        # torch and the network of a project as it is baked
        shutil.rmtree(project.root / "traceable_digits")
        shutil.copytree(installed.root / "traceable_digits", project.root / "traceable_digits")
        asked = settings(sky.tracking, install="image", image=BUILT)
        project.compose("train=debug", "train.threads=1", *asked, f"serving.endpoint.image={BUILT}")
        project.environment["PIPELINE_COMPUTE"] = "preprocess=sagemaker,train=sagemaker,evaluate=local"
        project.dvc("repro")
        assert len(sky.job_names()) == 2
        [preprocess], [train] = (sky.project.store(sky.tracking).runs(stage) for stage in ("preprocess", "train"))
        assert {run.data.tags["sagemaker_image"] for run in (preprocess, train)} == {BUILT}
        record = json.loads((project.root / "models" / "run.json").read_text())
        assert record["machine"]["python"] == python
        project.commit("Made in the image")
        project.dvc("push", "--quiet")
        project.run("lineage", "link")
        assert lineage.verify(project, MODEL).not_passed == {}
        assert f"{ENDPOINT} serves {MODEL}." in lineage(project, "deploy", MODEL)
        record_id, image = an_image(project)
        said = sky.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=ENDPOINT, Body=image, ContentType="image/png"
        )
        [answer] = json.loads(said["Body"].read())["predictions"]
        assert list(answer.values()) == pytest.approx(predicted(project)[record_id], rel=1e-4)
        deploy_one_that_does_not_answer(sky)
        reason = ended(sky, "silent")
        assert "did not pass the ping health check" in reason
        log = sky_log(sky, "/aws/sagemaker/Endpoints/silent")
        assert "the model does not answer its own example" in log
        assert "serving models:/" not in log
        lineage(project, "undeploy")
    # what containers wrote is not in the image
    assert {path.name for path in (IMAGE / "rootfs" / "tmp").iterdir()} == {"requirements.lock"}
    assert not [*(IMAGE / "rootfs" / "opt" / "project").rglob("__pycache__")]


def inside(folder: Path, *command: str) -> str:
    """What a command says in a container of the image."""
    root = folder / command[0] / "ml"
    root.mkdir(parents=True)
    begun = [*NAMESPACE, *beginning(IMAGE, root), *command]
    return subprocess.run(begun, env=variables(IMAGE, root), stdout=subprocess.PIPE, text=True, check=True).stdout


def an_image(project: Project) -> tuple[str, bytes]:
    """Id and bytes of an image of the test split."""
    for shard in sorted((project.root / "data" / "processed" / "shards").iterdir()):
        for row in pq.read_table(shard, columns=["record_id", "split", "image"]).to_pylist():
            if row["split"] == "test":
                return row["record_id"], row["image"]
    raise AssertionError("no record in the test split")


def predicted(project: Project) -> dict[str, list[float]]:
    """The probabilities that evaluate wrote, here and not in the image."""
    table = pq.read_table(project.root / "data" / "predictions.parquet").to_pylist()
    return {row["record_id"]: row["probabilities"] for row in table}


def deploy_one_that_does_not_answer(sky: Cloud) -> None:
    """An endpoint `silent` of the same model, whose registered example is no image."""
    client, folder = sky.client("sagemaker"), sky.state / "silent"
    [name] = [model["ModelName"] for model in client.list_models()["Models"]]
    model = client.describe_model(ModelName=name)
    container: dict[str, Any] = model["PrimaryContainer"]
    bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
    data = sky.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
    (folder / "serving_input_example.json").write_text('{"instances": ["bm8gaW1hZ2U="]}')
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder, ".")
    sky.client("s3").put_object(Bucket=bucket, Key="silent.tar.gz", Body=packed.getvalue())
    order = {**json.loads(container["Environment"]["PIPELINE_SERVE"]), "sha256": hash_tree(folder).sha256}
    there = {
        "Image": BUILT,
        "ModelDataUrl": f"s3://{bucket}/silent.tar.gz",
        "Environment": {"PIPELINE_SERVE": json.dumps(order)},
    }
    client.create_model(ModelName="silent", PrimaryContainer=there, ExecutionRoleArn=model["ExecutionRoleArn"])
    variant = {"VariantName": "v", "ModelName": "silent", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    client.create_endpoint_config(EndpointConfigName="silent", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="silent", EndpointConfigName="silent")


def ended(sky: Cloud, endpoint: str) -> str:
    """Why an endpoint is not in service, when that is known."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        described = sky.client("sagemaker").describe_endpoint(EndpointName=endpoint)
        if described["EndpointStatus"] != "Creating":
            return f"{described['EndpointStatus']}: {described.get('FailureReason')}"
        time.sleep(0.1)  # between two looks at the condition
    raise AssertionError(f"{endpoint} is still being made")


def sky_log(sky: Cloud, group: str) -> str:
    client = sky.client("logs")
    streams = client.describe_log_streams(logGroupName=group)["logStreams"]
    names = [stream["logStreamName"] for stream in streams]
    events = [client.get_log_events(logGroupName=group, logStreamName=name)["events"] for name in names]
    return "\n".join(event["message"] for page in events for event in page)
