"""Spot instances that are taken away at random moments, and jobs that end early: training goes on, the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aws_standin.container import can_run
from aws_standin.interruptions import Order, left, order
from baked import Project
from cloud import IMAGE, ROLE, Cloud, cloud, settings
from command import Lineage

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
SEED, EPOCHS = 16, 80
MADE = ("models/model.safetensors", "metrics/train.json", "plots/training.csv")
CHECKPOINTS = "traceable-digits/checkpoints/"
# the other stages run here: they have no part in it
HERE = ("compute.preprocess=local", "compute.evaluate=local", f"train.epochs={EPOCHS}")
TRAIN = ("repro", "--force", "--single-item", "--no-run-cache", "train")
SPOT = "compute.sagemaker.training.spot=true"


@pytest.fixture(scope="module")
def sky(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("sky"), installed) as running:
        compose(running)
        running.project.dvc("repro", "preprocess")
        running.project.commit("Data")
        yield running
        assert running.left_the_machine() == ""


def compose(sky: Cloud, *more: str) -> None:
    sky.project.compose(*settings(sky.tracking, install="image"), *HERE, *more)


def made(project: Project) -> dict[str, str]:
    return {path: project.out("train", path) for path in MADE}


def undisturbed(sky: Cloud, *more: str) -> dict[str, str]:
    """What comes out of the same training on this machine. It leaves nothing that a job could go on from."""
    compose(sky, *more, "compute.train=local", "callbacks=none")
    sky.project.dvc(*TRAIN)
    return made(sky.project)


def checkpoints(sky: Cloud) -> dict[str, bytes]:
    return {key: data for key, data in sky.objects("the-jobs").items() if key.startswith(CHECKPOINTS)}


def steps(sky: Cloud, run: Any) -> list[int]:
    history = sky.project.store(sky.tracking).client.get_metric_history(run.info.run_id, "train_loss")
    return [point.step for point in history]


def test_interrupted_at_random_moments(sky: Cloud, lineage: Lineage) -> None:
    expected, moments = undisturbed(sky), random.Random(SEED)
    # a time of grace that nobody uses, one that is used, and none
    orders = [
        Order(saves=moments.randint(2, 8), delay=moments.uniform(0, 0.2), grace=grace) for grace in (120.0, 0.0, 120.0)
    ]
    order(sky.state, *orders)
    compose(sky, SPOT)
    output = sky.project.dvc(*TRAIN)
    sky.project.dvc("repro")
    assert left(sky.state) == 0
    assert made(sky.project) == expected

    (job,) = sky.jobs()
    passed = [state["Status"] for state in job["SecondaryStatusTransitions"]]
    assert passed.count("Interrupted") == len(orders)
    assert passed[0] == "Starting"
    assert passed[-3:] == ["Training", "Uploading", "Completed"]
    assert job["CheckpointConfig"]["S3Uri"].startswith(f"s3://the-jobs/{CHECKPOINTS}")
    assert "its instances were taken away (3): it goes on after its last checkpoint, on new ones" in output
    assert output.count("going on after epoch") == len(orders)  # the logs of all instances are shown

    (run,) = sky.project.store(sky.tracking).runs("train")
    assert run.data.tags["sagemaker_interruptions"] == run.data.tags["interruptions"] == "3"
    assert int(run.data.tags["sagemaker_billable_seconds"]) > 0
    assert steps(sky, run) == list(range(1, EPOCHS + 1))  # each once, though each instance told of all
    interruptions = sky.project.lineage["training_run"]["interruptions"]
    assert [one["sagemaker_job_name"] for one in interruptions] == [job["TrainingJobName"]] * 3
    after = [one["epochs"] for one in interruptions]
    assert after == sorted(after)
    assert after[0] >= 1
    assert [one["ended"] == "unknown" for one in interruptions] == [False, True, False]
    assert "KeyboardInterrupt: signal 15" in interruptions[0]["ended"]
    assert checkpoints(sky) == {}  # there is a result

    sky.project.commit("Trained on spot instances")
    sky.project.dvc("push", "--quiet")
    sky.project.run("lineage", "link")
    proof = lineage.verify(sky.project, "models:/traceable-digits@candidate", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})


def test_the_next_job_goes_on_where_one_was_that_nobody_waited_for(sky: Cloud) -> None:
    longer = ("train.seed=3", "train.epochs=300")  # than it takes to kill the launcher, and to look at the job
    expected = undisturbed(sky, *longer)
    compose(sky, *longer)
    known = len(sky.job_names())
    process = sky.project.start("dvc", *TRAIN, start_new_session=True)
    while not any(key.endswith("/checkpoint") for key in checkpoints(sky)):
        assert process.poll() is None
        time.sleep(0.1)  # between two looks at the condition
    name = sky.job_names()[known]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=300)
    sky.project.mend_dvc()
    output = sky.project.dvc(*TRAIN)  # stops that job, and waits until it has saved what it has
    assert f"job {name} of an earlier train, which nobody waits for, is asked to stop" in output
    assert sky.job(name)["TrainingJobStatus"] == "Stopped"
    assert "going on after epoch" in output
    assert made(sky.project) == expected
    (one,) = json.loads((sky.project.root / "models" / "run.json").read_text())["interruptions"]
    assert one["sagemaker_job_name"] == name
    first, second = sky.project.store(sky.tracking).runs("train")[-2:]
    assert one["run_id"] == first.info.run_id != second.info.run_id
    assert steps(sky, second) == list(range(1, 301))  # its curve is whole
    assert checkpoints(sky) == {}


def test_warm_instances_are_shown_and_given_back(sky: Cloud) -> None:
    pool = "compute.sagemaker.training.warm_pool_minutes=5"
    compose(sky, "train=debug", "train.resume=false", pool, "callbacks=none")
    output = sky.project.dvc(*TRAIN)
    first = sky.job_names()[-1]
    assert "CheckpointConfig" not in sky.job(first)  # without train.resume nothing is kept
    assert f"{first}  1 x ml.g5.xlarge wait for the next job until 20" in output
    output = sky.project.dvc(*TRAIN)
    second = sky.job_names()[-1]
    assert sky.job(first)["WarmPoolStatus"] | {"ResourceRetainedBillableTimeInSeconds": 0} == {
        "Status": "Reused",
        "ReusedByJob": second,
        "ResourceRetainedBillableTimeInSeconds": 0,
    }
    # a step of a pipeline, and others' whose names hold those of this project
    of_step, of_others = warm(sky, "pipelines-abcdef-train-0123456789"), warm(sky, f"mri-{second}", whose="p-of-others")
    of_nobody = warm(sky, f"x-{second}", whose="")
    step, kept = sorted(
        json.loads(sky.project.run("lineage", "aws", "warm-pools", "--json")), key=lambda one: one["job"] == second
    )
    assert (step["job"], step["status"]) == (of_step, "Available")
    assert (kept["job"], kept["status"], kept["minutes"]) == (second, "Available", 5)
    assert 0 <= kept["billed"] < 300
    shown = sky.project.run("lineage", "aws", "warm-pools", "--end")
    assert "seconds of an instance so far" in shown
    assert f"{second}: its instances are given back." in shown
    for name, status in ((of_step, "Terminated"), (second, "Terminated"), (of_others, "Available")):
        assert sky.job(name)["WarmPoolStatus"]["Status"] == status
    assert sky.job(of_nobody)["WarmPoolStatus"]["Status"] == "Available"
    said = sky.project.run("lineage", "aws", "warm-pools")
    assert said == "no instances are kept warm for this project in eu-central-1.\n"


def warm(sky: Cloud, name: str, whose: str | None = None) -> str:
    """The name of a job that has ended, whose instances are kept warm: of this project, or with another's id, or none.

    Each wants other instances than the ones before, or it would take theirs.
    """
    client = sky.client("sagemaker")
    wanted = sky.project.params["project_id"] if whose is None else whose
    client.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File", "ContainerEntrypoint": ["true"]},
        OutputDataConfig={"S3OutputPath": "s3://the-jobs/out"},
        ResourceConfig={
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": len(name),
            "KeepAlivePeriodInSeconds": 600,
        },
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        Tags=[{"Key": "lineage:project_id", "Value": wanted}] if wanted else [],
    )
    deadline = time.monotonic() + 60
    while client.describe_training_job(TrainingJobName=name)["WarmPoolStatus"]["Status"] != "Available":
        assert time.monotonic() < deadline, sky.job(name)
        time.sleep(0.1)  # between two looks at the condition
    return name
