"""dvc.yaml as a SageMaker Pipeline: compiled without AWS, executed by the stand-in, collected into Git, proved."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_standin.container import can_run
from baked import Project, bake
from cloud import Cloud, cloud, settings
from command import Lineage
from events import say_registry_changed, set_up_opt_out
from infrastructure import Infrastructure

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
STEPS = ("preprocess", "train", "evaluate")
GATE = "+promotion.thresholds.at_least.test.accuracy=0.1"
CSV = "s3://the-jobs/consent.csv"


def overrides(tracking: str, *more: str) -> list[str]:
    return ["train=debug", GATE, *settings(tracking, install="image"), *more]


@pytest.fixture(scope="module")
def sky(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A project with raw data, committed, whose pipeline is in the account."""
    with cloud(tmp_path_factory.mktemp("sky"), installed) as running:
        project = running.project
        project.compose(*overrides(running.tracking))
        project.dvc("repro", "fetch")
        project.commit("To SageMaker")
        said = lineage(project, "pipeline", "upsert")
        assert "preprocess, train, evaluate; gate on test.accuracy" in said
        yield running
        assert running.left_the_machine() == ""


def run(sky: Cloud, lineage: Lineage, project: Project, *given: str) -> tuple[str, str]:
    """The id of an execution that has ended, and what `status` says of it."""
    arn = lineage(project, "pipeline", "start", *given).splitlines()[0]
    return ended(sky, arn), lineage(project, "pipeline", "status", arn.rpartition("/")[2], code=None)


def ended(sky: Cloud, arn: str) -> str:
    """The id of an execution, once it has ended."""
    client, deadline = sky.client("sagemaker"), time.monotonic() + 240
    while client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Executing":
        assert time.monotonic() < deadline, sky.logs()
        time.sleep(0.5)  # between two looks at the condition
    return arn.rpartition("/")[2]


@pytest.fixture(scope="module")
def executed(sky: Cloud, lineage: Lineage) -> str:
    """The id of an execution that has succeeded."""
    identity, said = run(sky, lineage, sky.project)
    assert f"lineage pipeline collect {identity}" in said, said + sky.logs()
    return identity


def test_compiling_asks_nobody_and_gives_the_same_bytes(sky: Cloud, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path / "copy")
    for name in [name for name in project.environment if name.startswith("AWS_")]:
        del project.environment[name]
    project.environment |= {"AWS_REGION": "eu-central-1", "HOME": str(tmp_path)}
    shutil.rmtree(project.root / "data" / "raw")  # what dvc.lock says of it is enough
    first = lineage(project, "pipeline", "compile")
    for path in project.root.rglob("*.py"):  # other times
        path.touch()
    time.sleep(1.1 - time.time() % 1)  # into another second: the SDK writes the time into names
    lineage(project, "pipeline", "compile", "--output", str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_text() == first
    account = sky.client("sagemaker").describe_pipeline(PipelineName="traceable-digits")
    assert json.loads(account["PipelineDefinition"]) == json.loads(first)
    steps = {step["Name"]: step for step in json.loads(first)["Steps"]}
    assert [(name, steps[name]["Type"]) for name in STEPS] == list(
        zip(STEPS, ("Processing", "Training", "Processing"), strict=True)
    )
    assert steps["train"]["DependsOn"] == ["preprocess"]
    assert "QualityGate" in steps
    code = project.root / "traceable_digits" / "evaluation.py"
    code.write_text(code.read_text() + "# edited\n")
    assert "evaluation.py is not as the commit has it" in lineage(project, "pipeline", "compile", code=1)
    project.commit("Edited")
    assert lineage(project, "pipeline", "compile") != first


def test_from_a_commit_to_a_verified_version(sky: Cloud, executed: str, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    status, said = lineage.ask(project, "verify", executed)
    assert status == 2
    assert f"lineage pipeline collect {executed}" in said
    jobs = {job.get("TrainingJobName") or job["ProcessingJobName"] for job in sky.jobs()}
    assert "register" in lineage(project, "pipeline", "collect", executed)
    assert {job.get("TrainingJobName") or job["ProcessingJobName"] for job in sky.jobs()} == jobs
    version = f"models:/traceable-digits/{project.lineage['model']['version']}"
    status, said = lineage.ask(project, "verify", version)
    assert status == 2
    assert "not committed yet" in said
    project.commit("Trained in a pipeline")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    proof = lineage.verify(project, version, "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})
    assert lineage.verify(project, executed).status == 0
    assert project.dvc("status").strip().endswith("up to date.")
    record = json.loads((project.root / "models" / "run.json").read_text())
    assert record["job"]["sagemaker_pipeline_execution"] == executed
    for stage in STEPS:
        (run_of_stage,) = runs_of(sky, stage, executed)
        assert run_of_stage.info.status == "FINISHED"
        assert run_of_stage.data.tags["sagemaker_job_name"].startswith(f"pipelines-{executed}-{stage}-")
        assert int(run_of_stage.data.tags["sagemaker_billable_seconds"]) > 0
        assert run_of_stage.data.tags["sagemaker_instance_type"].startswith("ml.")
    assert "mlflow.user" not in record["started_from"]


def test_before_the_pipeline_all_must_be_up_to_date(sky: Cloud, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.compose(*overrides(sky.tracking, "data.source.name=digits", "train.seed=5"))
    project.commit("Another seed")
    assert "config is not up to date (params.yaml). `dvc repro config`" in lineage(
        project, "pipeline", "compile", code=1
    )


def runs_of(sky: Cloud, stage: str, execution: str) -> list[Any]:
    runs = sky.project.store(sky.tracking).runs(stage)
    return [run for run in runs if run.data.tags.get("sagemaker_pipeline_execution") == execution]


def test_sagemaker_has_the_lineage_of_it(sky: Cloud, executed: str) -> None:
    client = sky.client("sagemaker")
    artifacts = {each["ArtifactName"]: each["ArtifactArn"] for each in client.list_artifacts()["ArtifactSummaries"]}
    actions = {each["ActionName"]: each["ActionArn"] for each in client.list_actions()["ActionSummaries"]}
    assert {f"{stage}-{executed}" for stage in STEPS} <= actions.keys()

    def produced(stage: str) -> list[str]:
        found = client.list_associations(SourceArn=actions[f"{stage}-{executed}"])["AssociationSummaries"]
        return [each["DestinationArn"] for each in found]

    assert produced("preprocess") == [artifacts[f"dataset-{executed}"]]
    assert produced("train") == [artifacts[f"model-{executed}"]]
    read = client.list_associations(DestinationArn=actions[f"train-{executed}"])["AssociationSummaries"]
    assert artifacts[f"dataset-{executed}"] in [each["SourceArn"] for each in read]


def test_what_an_execution_has_otherwise(sky: Cloud, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    for given, said in (("Nothing=1", "has no parameter Nothing"), ("data.fraction=all", "of the type Float")):
        assert said in lineage(project, "pipeline", "start", given, code=1)
    given = ("data.fraction=0.5", "TrainingInstanceType=ml.c5.xlarge", "AtLeastTestAccuracy=0.05")
    identity, _ = run(sky, lineage, project, *given)
    [job] = [job for job in sky.jobs() if job.get("TrainingJobName", "").startswith(f"pipelines-{identity}-")]
    assert job["ResourceConfig"]["InstanceType"] == "ml.c5.xlarge"
    assert "data.fraction is 0.5" in lineage(project, "pipeline", "collect", identity)
    assert project.params["data"]["fraction"] == 0.5
    assert project.lock["preprocess"]["params"]["params.yaml"]["data.fraction"] == 0.5
    project.commit("Half of it")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    proof = lineage.verify(project, f"models:/traceable-digits/{project.lineage['model']['version']}")
    assert (proof.status, proof.not_passed) == (0, {})
    assert project.dvc("status").strip().endswith("up to date.")


@pytest.mark.long
def test_the_gate(sky: Cloud, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    identity, said = run(sky, lineage, project, "AtLeastTestAccuracy=1.5")
    assert "test.accuracy must be at least 1.5" in said
    before = project.git("status", "--porcelain")
    said = lineage(project, "pipeline", "collect", identity, code=1)
    assert "is Failed, so there is nothing to collect" in said
    assert "must be at least 1.5" in said
    assert project.git("status", "--porcelain") == before == ""


def test_what_is_not_what_it_was_is_not_collected(sky: Cloud, executed: str, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    address = f"traceable-digits/pipelines/traceable-digits/{executed}/reports"
    report = sky.objects("the-jobs")[f"{address}/train.json"]
    place = {"Bucket": "the-jobs", "Key": f"{address}/train.json"}
    forged = json.loads(report)
    weights = next(out for out in forged["entry"]["outs"] if out["path"] == "models/model.safetensors")
    weights["md5"] = forged["entry"]["deps"][0]["md5"].removesuffix(".dir")
    code = project.root / "traceable_digits" / "stages" / "train.py"
    try:
        for data, said in ((json.dumps(forged).encode(), "read another models/model.safetensors"), (b"{}", "no entry")):
            sky.client("s3").put_object(**place, Body=data)
            assert said in lineage(project, "pipeline", "collect", executed, code=1)
            assert project.git("status", "--porcelain") == ""
        sky.client("s3").delete_object(**place)
        assert "has left no report" in lineage(project, "pipeline", "collect", executed, code=1)
    finally:
        sky.client("s3").put_object(**place, Body=report)
    commit = project.git("rev-parse", "HEAD")
    code.write_text(code.read_text() + "# edited\n")
    project.commit("Edited")
    said = lineage(project, "pipeline", "collect", executed, code=1)
    assert f"git switch --create collected {commit[:12]}" in said
    assert project.git("status", "--porcelain") == ""


@pytest.mark.long
def test_who_opts_out_is_in_no_execution_after_it(sky: Cloud, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)

    def registry(*revoked: int) -> None:
        status = {number: "revoked" if number in revoked else "active" for number in range(1, 321)}
        rows = [f"PAT-{number:05d},{said},2024-01-31T08:30:00Z" for number, said in status.items()]
        text = "\n".join(["subject_id,consent_status,effective_at", *rows, ""])
        sky.client("s3").put_object(Bucket="the-jobs", Key="consent.csv", Body=text.encode())

    registry()
    name = "compute.sagemaker.pipeline.name=with-consent"
    project.compose(*overrides(sky.tracking, "privacy=registry", f"privacy.registry.path={CSV}", name))
    project.dvc("repro", "consent", "fetch")
    project.commit("Asks for consent")
    said = lineage(project, "pipeline", "upsert")
    assert ": consent-" in said
    assert ", preprocess, train, evaluate" in said
    registry(23)
    # nobody starts anything: the registry's keeper says that it has changed, and the rule of infra/ does
    given = {"ProjectId": "p1", "NotifyEmail": "ops@example.org", "PipelineName": "with-consent"}
    infrastructure = Infrastructure(bake(tmp_path / "infra", infra="yes"), **given)
    set_up_opt_out(infrastructure, sky.client)
    say_registry_changed(infrastructure, sky.client("events"))
    listed = sky.client("sagemaker").list_pipeline_executions(PipelineName="with-consent")
    [begun] = listed["PipelineExecutionSummaries"]
    identity = ended(sky, begun["PipelineExecutionArn"])
    assert "Succeeded" in lineage(project, "pipeline", "status", identity)
    registry(23, 24)
    said = lineage(project, "pipeline", "collect", identity, code=1)
    assert "data/consent.csv" in said
    assert project.git("status", "--porcelain") == ""
    registry(23)
    lineage(project, "pipeline", "collect", identity)
    assert "PAT-00023" not in (project.root / "data" / "processed" / "manifest.parquet").read_bytes().decode("latin-1")
    assert "PAT-00024" in (project.root / "data" / "processed" / "manifest.parquet").read_bytes().decode("latin-1")


REFUSED = [
    (["compute=local"], "no stage runs on SageMaker"),
    (["compute.train=local"], "train runs here and rests on preprocess"),
    (["compute.evaluate=local"], "the stage that makes them is no step"),
    (["compute.sagemaker.source=git"], "compute.sagemaker.source is git"),
    (["compute.sagemaker.pipeline.parameters=[data.source.name]"], "fetch depends on, and that runs here"),
    (["compute.sagemaker.pipeline.parameters=[no.such]"], "which is not a setting"),
    (["compute.sagemaker.pipeline.parameters=[tracking.uri]"], "which no step depends on"),
]


@pytest.mark.parametrize(("more", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_a_pipeline(more: list[str], said: str, sky: Cloud, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    lineage(project, "compose", *overrides(sky.tracking, *more))
    project.dvc("repro", "config")
    project.commit("Otherwise")
    assert said in lineage(project, "pipeline", "compile", code=1)
