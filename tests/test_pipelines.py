"""dvc.yaml as a SageMaker Pipeline: compiled without AWS, executed by the stand-in, collected into Git, proved.

By the roles of infra/ alone: that of the launcher asks, that of pipelines starts jobs, and these work as theirs.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_standin.container import can_run
from aws_standin.interruptions import Order, left, order
from baked import Project
from botocore.exceptions import ClientError
from command import Lineage
from events import say_registry_changed, set_up_opt_out
from governed import PIPELINE, Governed, governed, write_registry
from governed import overrides as of_roles
from governed import registry as consent_registry
from permissions_page import BY_PIPELINES

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
STEPS = ("preprocess", "train", "evaluate")
EPOCHS = 20
GATE = "+promotion.thresholds.at_least.test.accuracy=0.1"
JOBS = "traceable-digits-jobs-123456789012"


def overrides(sky: Governed, *more: str) -> list[str]:
    return [GATE, *of_roles(sky), f"train.epochs={EPOCHS}", "compute.sagemaker.training.spot=true", *more]


@pytest.fixture(scope="module")
def sky(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """A project with raw data, committed, whose pipeline is in the account."""
    with governed(tmp_path_factory.mktemp("sky"), installed) as running:
        project = running.project
        project.compose(*overrides(running))
        project.dvc("repro", "fetch")
        project.commit("To SageMaker")
        said = lineage(project, "pipeline", "upsert")
        assert "preprocess, train, evaluate; gate on test.accuracy" in said
        yield running
        assert running.left_the_machine() == ""


def run(sky: Governed, lineage: Lineage, project: Project, *given: str) -> tuple[str, str]:
    """The id of an execution that has ended, and what `status` says of it."""
    arn = lineage(project, "pipeline", "start", *given).splitlines()[0]
    ended(sky, arn)
    identity = arn.rpartition("/")[2]
    return identity, lineage(project, "pipeline", "status", identity, code=None)


def ended(sky: Governed, arn: str) -> str:
    """The last status of an execution."""
    client, deadline = sky.client("sagemaker"), time.monotonic() + 240
    while True:
        status = client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        if status not in ("Executing", "Stopping"):
            return str(status)
        assert time.monotonic() < deadline, sky.logs()
        time.sleep(0.2)  # between two looks at the condition


@pytest.fixture(scope="module")
def executed(sky: Governed, lineage: Lineage) -> str:
    """The id of an execution that has succeeded."""
    identity, said = run(sky, lineage, sky.project)
    assert f"lineage pipeline collect {identity}" in said, said + sky.logs()
    return identity


def test_compiling_asks_nobody_and_gives_the_same_bytes(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
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


def test_from_a_commit_to_a_verified_version(sky: Governed, executed: str, lineage: Lineage, tmp_path: Path) -> None:
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
    assert not [key for key in sky.objects(JOBS) if f"checkpoints/{executed}/" in key]  # there is a result


def test_before_the_pipeline_all_must_be_up_to_date(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.compose(*overrides(sky, "data.source.name=digits", "train.seed=5"))
    project.commit("Another seed")
    assert "config is not up to date (params.yaml). `dvc repro config`" in lineage(
        project, "pipeline", "compile", code=1
    )


def runs_of(sky: Governed, stage: str, execution: str) -> list[Any]:
    runs = sky.project.store(sky.tracking).runs(stage)
    return [run for run in runs if run.data.tags.get("sagemaker_pipeline_execution") == execution]


def test_sagemaker_has_the_lineage_of_it(sky: Governed, executed: str) -> None:
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


def test_what_an_execution_has_otherwise(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
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


def report(sky: Governed, execution: str, stage: str) -> dict[str, str]:
    """Hash by path of what a step has made, as its job reports."""
    key = f"traceable-digits/pipelines/{PIPELINE}/{execution}/reports/{stage}.json"
    found = json.loads(sky.client("s3").get_object(Bucket=JOBS, Key=key)["Body"].read())
    return {out["path"]: out["md5"] for out in found["entry"]["outs"]}


def test_stopped_and_retried_and_interrupted_it_makes_the_same_bits(
    sky: Governed, executed: str, lineage: Lineage
) -> None:
    order(sky.state, Order(job="pipelines-.*-train-.*", saves=4))
    arn = lineage(sky.project, "pipeline", "start").splitlines()[0]
    identity = arn.rpartition("/")[2]
    assert "is asked to stop" in lineage(sky.project, "pipeline", "stop", identity)
    assert ended(sky, arn) == "Stopped"
    assert f"lineage pipeline retry {identity}" in lineage(sky.project, "pipeline", "status", identity, code=1)
    assert "is Stopped: there is nothing to stop" in lineage(sky.project, "pipeline", "stop", identity, code=1)
    assert f"{arn} goes on" in lineage(sky.project, "pipeline", "retry", identity)
    assert ended(sky, arn) == "Succeeded"
    assert "only one that failed is retried" in lineage(sky.project, "pipeline", "retry", identity, code=1)
    assert left(sky.state) == 0
    jobs = [job for job in sky.jobs() if job.get("TrainingJobName", "").startswith(f"pipelines-{identity}-")]
    assert sum(one["Status"] == "Interrupted" for job in jobs for one in job["SecondaryStatusTransitions"]) == 1
    assert {job["CheckpointConfig"]["S3Uri"] for job in jobs} == {
        f"s3://{JOBS}/traceable-digits/checkpoints/{identity}/train"
    }
    assert "going on after epoch" in sky.logs(f"pipelines-{identity}-train")
    for stage in STEPS[:2]:
        first, second = report(sky, executed, stage), report(sky, identity, stage)
        assert {path: md5 for path, md5 in first.items() if "run.json" not in path} == {
            path: md5 for path, md5 in second.items() if "run.json" not in path
        }


def test_an_execution_of_another_commit_is_not_retried(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    arn = start_as(sky, "pipeline", "GiveRoleToSteps")
    project.git("commit", "--quiet", "--allow-empty", "--message", "Another one")
    said = lineage(project, "pipeline", "retry", arn, code=1)
    assert f"git switch --detach {sky.project.git('rev-parse', 'HEAD').strip()[:12]}" in said


def start_as(sky: Governed, role: str, sid: str) -> str:
    """The ARN of an execution that has ended, during which a role had a statement less."""
    client = sky.client("sagemaker")
    with sky.without(role, sid):
        arn = str(client.start_pipeline_execution(PipelineName=PIPELINE)["PipelineExecutionArn"])
        ended(sky, arn)
    return arn


@pytest.mark.parametrize("command", [("upsert",), ("start",), ("status", "EXECUTION"), ("collect", "EXECUTION")])
@pytest.mark.long
def test_without_a_statement_of_the_launcher_a_command_fails(
    sky: Governed, executed: str, lineage: Lineage, command: tuple[str, ...]
) -> None:
    asked = [executed if word == "EXECUTION" else word for word in command]
    for sid in ("UsePipeline",) if len(command) == 1 else ("UsePipeline", "UseExecutions"):
        with sky.without("launcher", sid):
            assert "not authorized to perform: sagemaker:" in lineage(sky.project, "pipeline", *asked, code=1)


@pytest.mark.long
def test_without_the_right_to_make_a_pipeline_none_is_made(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
    client = sky.client("sagemaker")
    known = client.describe_pipeline(PipelineName=PIPELINE)
    client.delete_pipeline(PipelineName=PIPELINE, ClientRequestToken="t" * 32)
    with sky.without("launcher", "MakePipeline"):
        said = lineage(sky.project, "pipeline", "upsert", code=1)
    assert "not authorized to perform: sagemaker:CreatePipeline" in said
    lineage(sky.project, "pipeline", "upsert")
    assert client.describe_pipeline(PipelineName=PIPELINE)["PipelineDefinition"] == known["PipelineDefinition"]


def test_an_event_starts_it_by_its_own_role_and_nobody_elses(sky: Governed, executed: str) -> None:
    events = sky.client_as("events", "sagemaker")
    arn = events.start_pipeline_execution(PipelineName=PIPELINE)["PipelineExecutionArn"]
    sky.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="t" * 32)
    ended(sky, arn)
    for role in ("jobs", "pipeline", "endpoint", "ci", "steward"):
        with pytest.raises(ClientError, match="not authorized to perform: sagemaker:StartPipelineExecution"):
            sky.client_as(role, "sagemaker").start_pipeline_execution(PipelineName=PIPELINE)


def test_a_job_starts_no_other_job(sky: Governed, executed: str) -> None:
    job = next(job for job in sky.jobs() if "ProcessingJobName" in job)
    wanted = ("ProcessingResources", "AppSpecification", "RoleArn")
    tags = [{"Key": "lineage:project_id", "Value": sky.project.params["project_id"]}]
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:CreateProcessingJob"):
        sky.client_as("jobs", "sagemaker").create_processing_job(
            ProcessingJobName="of-a-job", Tags=tags, **{key: job[key] for key in wanted}
        )


@pytest.mark.long
def test_the_gate(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    identity, said = run(sky, lineage, project, "AtLeastTestAccuracy=1.5")
    assert "test.accuracy must be at least 1.5" in said
    before = project.git("status", "--porcelain")
    said = lineage(project, "pipeline", "collect", identity, code=1)
    assert "is Failed, so there is nothing to collect" in said
    assert "must be at least 1.5" in said
    assert project.git("status", "--porcelain") == before == ""


def test_what_is_not_what_it_was_is_not_collected(
    sky: Governed, executed: str, lineage: Lineage, tmp_path: Path
) -> None:
    project = sky.copy(tmp_path)
    address = f"traceable-digits/pipelines/traceable-digits/{executed}/reports"
    report = sky.objects(JOBS)[f"{address}/train.json"]
    place = {"Bucket": JOBS, "Key": f"{address}/train.json"}
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


def test_a_pipeline_of_others_is_left_alone(sky: Governed, executed: str, lineage: Lineage, tmp_path: Path) -> None:
    """An account has one pipeline of a name, and two projects may have one name."""
    client, project = sky.client("sagemaker"), sky.copy(tmp_path)
    arn = client.describe_pipeline(PipelineName=PIPELINE)["PipelineArn"]
    before = client.describe_pipeline(PipelineName=PIPELINE)["LastModifiedTime"]
    tag = {"Key": "lineage:project_id", "Value": project.params["project_id"]}
    try:
        for whose, owner in ((["p-of-others"], "project p-of-others"), ([], "nobody that this project knows")):
            client.delete_tags(ResourceArn=arn, TagKeys=[tag["Key"]])
            client.add_tags(ResourceArn=arn, Tags=[{**tag, "Value": each} for each in whose])
            for command in (("upsert",), ("start",), ("status",), ("stop", executed), ("collect", executed)):
                said = lineage(project, "pipeline", *command, code=1)
                assert f"the pipeline {PIPELINE} is of {owner}, so it is left alone" in said, command
    finally:
        client.delete_tags(ResourceArn=arn, TagKeys=[tag["Key"]])
        client.add_tags(ResourceArn=arn, Tags=[tag])
    assert client.describe_pipeline(PipelineName=PIPELINE)["LastModifiedTime"] == before
    other = f"{arn.rpartition('/')[0]}/another/execution/{executed}"
    assert "is an execution of another pipeline, another" in lineage(project, "pipeline", "stop", other, code=1)


def test_what_a_collection_that_fails_leaves_is_said(
    sky: Governed, executed: str, lineage: Lineage, tmp_path: Path
) -> None:
    """A stage of one's own fails after the version was registered."""
    project = sky.copy(tmp_path)
    (project.root / "dvc.yaml").write_text(
        (project.root / "dvc.yaml").read_text().replace("\nplots:", f"{AFTER_REGISTER}\nplots:", 1)
    )
    project.commit("And then")
    said = lineage(project, "pipeline", "collect", executed, code=1)
    assert "it could not be collected: the lines above say why. The project is as it was." in said
    assert re.search(r"models:/traceable-digits/\d+ stays in MLflow: collecting again takes that one\.", said), said
    assert project.git("status", "--porcelain") == ""


AFTER_REGISTER = """
  after:
    cmd: python -c "raise SystemExit('no')"
    deps:
      - lineage.json
"""


@pytest.fixture
def back(sky: Governed, lineage: Lineage) -> Iterator[None]:
    """Brings the pipeline of the others back after a test that makes another one: the launcher may have this one."""
    yield
    lineage(sky.project, "pipeline", "upsert")


@pytest.mark.long
@pytest.mark.usefixtures("back")
def test_jobs_clone_the_commit(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.git("clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    project.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    project.compose(*overrides(sky, "compute.sagemaker.source=git", "train.seed=11"))
    project.dvc("repro", "config")
    project.commit("Cloned")
    assert "is not on origin: its jobs clone it" in lineage(project, "pipeline", "upsert", code=1)
    project.git("push", "--quiet", "origin", "HEAD")
    lineage(project, "pipeline", "upsert")
    identity, said = run(sky, lineage, project)
    assert "Succeeded" in said, sky.logs(f"pipelines-{identity}")
    lineage(project, "pipeline", "collect", identity)
    project.commit("Trained in a pipeline")
    project.git("push", "--quiet", "origin", "HEAD")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    proof = lineage.verify(project, f"models:/traceable-digits/{project.lineage['model']['version']}")
    assert (proof.status, proof.not_passed) == (0, {})


@pytest.mark.long
def test_a_step_of_spark(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
    """Compiled, and checked against the API: the stand-in has no Spark."""
    project = sky.copy(tmp_path)
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/spark:1"
    project.compose(
        *overrides(sky, "compute.engine.preprocess=spark", f"compute.sagemaker.spark.image='{image}'"),
    )
    project.dvc("repro", "config")
    project.commit("On Spark")
    first = lineage(project, "pipeline", "compile")
    time.sleep(1.1 - time.time() % 1)  # into another second: the SDK writes the time into names
    assert lineage(project, "pipeline", "compile") == first
    steps = {step["Name"]: step for step in json.loads(first)["Steps"]}
    app = steps["preprocess"]["Arguments"]["AppSpecification"]
    assert app["ImageUri"] == image
    assert app["ContainerEntrypoint"] == ["smspark-submit", "/opt/ml/processing/input/code/launch.py"]
    cluster = steps["preprocess"]["Arguments"]["ProcessingResources"]["ClusterConfig"]
    assert cluster["InstanceType"] == {"Get": "Parameters.SparkInstanceType"}


@pytest.mark.long
@pytest.mark.usefixtures("back")
def test_who_opts_out_is_in_no_execution_after_it(sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)

    def registry(*revoked: int) -> None:
        write_registry(sky, {f"PAT-{number:05d}": "2024-01-31T08:30:00Z" for number in revoked})

    registry()
    project.compose(*overrides(sky, "privacy=registry", f"privacy.registry.path={consent_registry(sky)}"))
    project.dvc("repro", "consent", "fetch")
    project.commit("Asks for consent")
    said = lineage(project, "pipeline", "upsert")
    assert ": consent-" in said
    assert ", preprocess, train, evaluate" in said
    registry(23)
    known = executions(sky)
    set_up_opt_out(sky.infrastructure, sky.client)
    # nobody starts anything: the registry's keeper says that it has changed, and the rule of infra/ does
    say_registry_changed(sky.infrastructure, sky.client("events"))
    [arn] = executions(sky) - known
    assert ended(sky, arn) == "Succeeded"
    identity = arn.rpartition("/")[2]
    registry(23, 24)
    said = lineage(project, "pipeline", "collect", identity, code=1)
    assert "data/consent.csv" in said
    assert project.git("status", "--porcelain") == ""
    registry(23)
    lineage(project, "pipeline", "collect", identity)
    assert "PAT-00023" not in (project.root / "data" / "processed" / "manifest.parquet").read_bytes().decode("latin-1")
    assert "PAT-00024" in (project.root / "data" / "processed" / "manifest.parquet").read_bytes().decode("latin-1")


def executions(sky: Governed) -> set[str]:
    listed = sky.client("sagemaker").list_pipeline_executions(PipelineName=PIPELINE)
    return {each["PipelineExecutionArn"] for each in listed["PipelineExecutionSummaries"]}


REFUSED = [
    (["compute=local"], "no stage runs on SageMaker"),
    (["compute.train=local"], "train runs here and rests on preprocess"),
    (["compute.evaluate=local"], "the stage that makes them is no step"),
    (["compute.sagemaker.source=git"], "there is no Git remote for the jobs to clone"),
    (["compute.sagemaker.pipeline.parameters=[data.source.name]"], "fetch depends on, and that runs here"),
    (["compute.sagemaker.pipeline.parameters=[no.such]"], "which is not a setting"),
    (["compute.sagemaker.pipeline.parameters=[tracking.uri]"], "which no step depends on"),
]


@pytest.mark.parametrize(("more", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_a_pipeline(more: list[str], said: str, sky: Governed, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    lineage(project, "compose", *overrides(sky, *more))
    project.dvc("repro", "config")
    project.commit("Otherwise")
    assert said in lineage(project, "pipeline", "compile", code=1)


def test_each_statement_was_needed(sky: Governed, executed: str) -> None:
    """By what was asked in all of this: without the statement a request would have been refused."""
    for role, statements in BY_PIPELINES.items():
        assert statements <= sky.needed(role), role
    assert sky.needed("pipeline") == BY_PIPELINES["pipeline"]
