"""The roles of infra/ are what the pipeline needs and no more: it runs with them, and not with a statement less."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aws_standin.container import can_run
from baked import Project
from botocore.exceptions import ClientError
from command import Lineage
from governed import Governed, governed, overrides, registry, write_registry
from left_behind import GROUP, everything, leave
from permissions_page import calls, shown, shown_here
from servers import mlflow_server

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
STAGES = ("preprocess", "train", "evaluate")
SECRET = "traceable-digits-of-jobs"
# what SageMaker's SDK asks by the way, and does without
NOW = ("--older-than", "0")
OURS = (
    f"{GROUP}serve"  # the group of versions; the steward reaches those that begin like it, which left_behind.py makes
)
OF_OTHERS = [f"{name}-{number}" for name in ("of-others", "of-nobody") for number in "12"]
ASKED_IN_VAIN = {"s3:ListAllMyBuckets", "iam:SimulatePrincipalPolicy"}


@pytest.fixture(scope="module")
def account(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """A project that was run from raw data to a verified version by the roles of its infra/ alone."""
    with governed(tmp_path_factory.mktemp("governed"), installed, group=OURS) as running:
        running.client("secretsmanager").create_secret(Name=SECRET, SecretString='{"OF_JOBS": "x"}')
        project = running.project
        project.compose(*overrides(running, f"compute.sagemaker.secret={SECRET}"))
        project.dvc("repro")
        project.commit("First model")
        project.dvc("push", "--quiet")
        project.run("lineage", "link")
        yield running
        assert running.left_the_machine() == ""


def refused(account: Governed) -> set[str]:
    return {request["action"] for request in account.requests if not request["allowed"]}


def test_the_whole_pipeline_runs_with_exactly_these_roles(account: Governed, lineage: Lineage) -> None:
    proof = lineage.verify(account.project, "models:/traceable-digits@candidate", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})
    assert refused(account) == ASKED_IN_VAIN
    jobs = account.jobs()
    assert len(jobs) == len(STAGES)
    assert {job["RoleArn"] for job in jobs} == {account.infrastructure.outputs()["JobsRole"]}


def test_a_job_is_stopped_by_the_launcher(account: Governed, tmp_path: Path) -> None:
    project = account.copy(tmp_path)
    project.compose(*overrides(account, "train.epochs=500", "callbacks=none"))
    known = len(account.job_names())
    command = ("env", "--default-signal=INT", "dvc", "repro", "--single-item", "train")
    process = project.start(*command, start_new_session=True)
    deadline = time.monotonic() + 300
    while len(account.job_names()) == known and time.monotonic() < deadline:
        time.sleep(0.2)  # between two looks at the condition
    for member in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        member.send_signal(signal.SIGINT)
    assert "is asked to stop" in process.communicate(timeout=300)[0]
    assert "sagemaker:StopTrainingJob" in {request["action"] for request in account.requests}
    assert refused(account) == ASKED_IN_VAIN


def test_warm_instances_are_given_back_by_the_launcher(account: Governed) -> None:
    """As `lineage aws warm-pools --end` asks for it; of another one's job they are not."""
    assert "no instances are kept warm for this project" in account.project.run("lineage", "aws", "warm-pools")
    with account.without("launcher", "SeeWhose"):
        assert "sagemaker:ListTags" in account.project.run("lineage", "aws", "warm-pools", code=1)
    (name,) = [job["TrainingJobName"] for job in account.jobs() if job.get("TrainingJobStatus") == "Completed"]
    wanted = {"TrainingJobName": name, "ResourceConfig": {"KeepAlivePeriodInSeconds": 0}}
    account.client_as("launcher", "sagemaker").update_training_job(**wanted)
    with (
        account.without("launcher", "EndWarmPools"),
        pytest.raises(ClientError, match="not authorized to perform: sagemaker:UpdateTrainingJob"),
    ):
        account.client_as("launcher", "sagemaker").update_training_job(**wanted)


def test_an_mlflow_app_is_made_by_the_launcher_and_deleted_by_the_steward(account: Governed) -> None:
    project, outputs = account.project, account.infrastructure.outputs()
    made = ("lineage", "aws", "mlflow", "create", "--role", outputs["MlflowRole"])
    for sid in ("MakeMlflowApp", "LookAtMlflowApps"):
        with account.without("launcher", sid):
            assert "not authorized" in project.run(*made, "--artifacts", outputs["ArtifactsAddress"], code=1)
    said = project.run(*made, "--artifacts", outputs["ArtifactsAddress"])
    arn = said.split()[0]
    assert f"{arn} is Created" in said
    assert "sagemaker:DeleteMlflowApp" in project.run("lineage", "aws", "mlflow", "delete", arn, "--yes", code=1)
    for sid in ("DeleteMlflowApps", "LookAtMlflowApps"):
        with account.without("steward", sid):
            assert "not authorized" in steward(account).run("lineage", "aws", "mlflow", "delete", arn, "--yes", code=1)
    steward(account).run("lineage", "aws", "mlflow", "delete", arn, "--yes")


def test_versions_are_copied_to_sagemaker_by_the_launcher(account: Governed) -> None:
    project, version = account.project, "models:/traceable-digits/1"
    before = refused(account)
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/x:1"
    more = (f"serving.endpoint.image={image}", f"compute.sagemaker.registry.group={OURS}")
    project.compose(*overrides(account, *more))
    for command in (("registry", "sync"), ("registry", "status"), ("ml-lineage", "sync")):
        project.run("lineage", "aws", *command)
    assert "preprocess" in project.run("lineage", "aws", "ml-lineage", "query", version)
    project.git("checkout", "--quiet", "--", "params.yaml")
    assert refused(account) == before
    launcher = account.client_as("launcher", "sagemaker")
    [package] = launcher.list_model_packages(ModelPackageGroupName=OURS)["ModelPackageSummaryList"]
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:DeleteModelPackage"):
        launcher.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:CreateModelPackageGroup"):
        launcher.create_model_package_group(ModelPackageGroupName=OURS)  # without a tag it would be nobody's
    tags = [{"Key": "lineage:project_id", "Value": project.params["project_id"]}]
    for name in (f"{OURS}r", "traceable-digits-0a1b2c"):  # of another project, of an MLflow app
        with pytest.raises(ClientError, match="not authorized to perform: sagemaker:CreateModelPackageGroup"):
            launcher.create_model_package_group(ModelPackageGroupName=name, Tags=tags)


def test_ci_reads_what_verify_reads_and_writes_nothing(account: Governed, lineage: Lineage) -> None:
    project = account.act_as("arn:aws:iam::123456789012:role/traceable-digits-ci", account.project)
    proof = lineage.verify(project, "models:/traceable-digits@candidate", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})
    bucket = account.infrastructure.stacks["storage"].ref("DataBucket")
    md5 = project.out("train", "models/model.safetensors")
    lost = {"Bucket": bucket, "Key": f"dvc/files/md5/{md5[:2]}/{md5[2:]}"}
    marker = account.client("s3").delete_object(**lost)["VersionId"]
    proof = lineage.verify(project, "models:/traceable-digits@candidate")
    account.client("s3").delete_object(**lost, VersionId=marker)
    assert proof.status == 1
    assert "not in" in proof.not_passed["DVC remote"]
    with pytest.raises(ClientError, match="not authorized to perform: s3:PutObject"):
        account.client_as("ci", "s3").put_object(Bucket=bucket, Key="dvc/x", Body=b"x")


def test_evidence_is_put_and_then_nobody_deletes_it(account: Governed) -> None:
    bucket = account.infrastructure.stacks["evidence"].ref("EvidenceBucket")
    account.client_as("launcher", "s3").put_object(Bucket=bucket, Key="evidence/certificate.json", Body=b"{}")
    for role in ("launcher", "jobs", "pipeline", "steward", "ci", "mlflow", "endpoint"):
        with pytest.raises(ClientError, match="not authorized"):
            account.client_as(role, "s3").delete_object(Bucket=bucket, Key="evidence/certificate.json")
    administrator = account.client("s3")
    (version,) = administrator.list_object_versions(Bucket=bucket)["Versions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        administrator.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    locked = administrator.head_object(Bucket=bucket, Key=version["Key"])
    assert locked["ObjectLockMode"] == "GOVERNANCE"
    assert (locked["ObjectLockRetainUntilDate"] - locked["LastModified"]).days in (3649, 3650)


def test_the_consent_registry_is_read_and_changed_by_nobody(account: Governed) -> None:
    write_registry(account, {})
    bucket, _, key = registry(account).removeprefix("s3://").partition("/")
    for role in ("launcher", "jobs", "ci"):
        assert b"PAT-00001,active" in account.client_as(role, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    for role in ("launcher", "jobs", "pipeline", "steward", "ci", "mlflow", "endpoint"):
        with pytest.raises(ClientError, match="not authorized to perform: s3:PutObject"):
            account.client_as(role, "s3").put_object(Bucket=bucket, Key=key, Body=b"everybody consents")
        with pytest.raises(ClientError, match="not authorized to perform: s3:DeleteObject"):
            account.client_as(role, "s3").delete_object(Bucket=bucket, Key=key)


def test_nobody_touches_what_is_of_others(account: Governed) -> None:
    administrator = account.client("sagemaker")
    job = {**account.job(account.job_names()[0]), "ProcessingJobName": "of-others"}
    job["AppSpecification"] = {"ImageUri": "an-image-that-nobody-has"}
    wanted = ("ProcessingJobName", "ProcessingResources", "AppSpecification", "RoleArn")
    administrator.create_processing_job(
        **{key: job[key] for key in wanted}, Tags=[{"Key": "lineage:project_id", "Value": "p-of-others"}]
    )
    launcher = account.client_as("launcher", "sagemaker")
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:StopProcessingJob"):
        launcher.stop_processing_job(ProcessingJobName="of-others")
    arn = "arn:aws:sagemaker:eu-central-1:123456789012:processing-job/of-others"
    tags = [{"Key": "lineage:project_id", "Value": account.project.params["project_id"]}]
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:AddTags"):
        launcher.add_tags(ResourceArn=arn, Tags=tags)
    with pytest.raises(ClientError, match="not authorized to perform: iam:PassRole"):
        launcher.create_processing_job(
            **{**{key: job[key] for key in wanted}, "RoleArn": "arn:aws:iam::123456789012:role/Admin"}, Tags=tags
        )
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:CreateProcessingJob"):
        launcher.create_processing_job(**{key: job[key] for key in wanted})  # without a tag nobody would find it


def test_the_server_of_mlflow_keeps_artifacts(account: Governed, tmp_path: Path) -> None:
    """As a server that hands artifacts out itself; that of the other tests has clients fetch them."""
    import mlflow

    outputs = account.infrastructure.outputs()
    server = account.act_as(outputs["MlflowRole"], account.project)
    (tmp_path / "said.txt").write_text("said")
    with mlflow_server(server, tmp_path / "mlflow.db", outputs["ArtifactsAddress"]) as uri:
        client = mlflow.MlflowClient(uri)
        run = client.create_run(client.create_experiment("x"))
        client.log_artifact(run.info.run_id, str(tmp_path / "said.txt"))
        assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["said.txt"]
        client.download_artifacts(run.info.run_id, "said.txt", str(tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("role", ["launcher", "jobs"])
def test_without_a_statement_it_fails(role: str, account: Governed, tmp_path: Path) -> None:
    """Every one of those that the run needs is taken away once: no refusal is passed over in silence."""
    by_hand = {"StopJobs", "FindWhatIsThere", "KeepEvidence", "UseEvidenceKey", "ReadConsent"}  # other tests show these
    went = {}
    for number, sid in enumerate(["", *sorted(account.needed(role) - by_hand)]):
        (tmp_path / f"less{sid}").mkdir()
        project = account.copy(tmp_path / f"less{sid}")
        project.compose(*overrides(account, f"compute.sagemaker.secret={SECRET}", f"train.seed={100 + number}"))
        account.put(role, without=sid)
        try:
            went[sid] = all(project.start(*command, stdout=subprocess.DEVNULL).wait() == 0 for command in RUN)
        finally:
            account.put(role)
    assert [sid for sid, well in went.items() if well] == [""]


RUN = (
    ("dvc", "repro", "--force", "preprocess", "train", "evaluate", "register"),
    ("git", "commit", "--quiet", "--all", "--message", "Again"),
    ("dvc", "push", "--quiet"),
    ("python", "-m", "lineage.cli", "link"),
    ("python", "-m", "lineage.cli", "verify", "models:/traceable-digits@candidate", "--rehash"),
)


@pytest.fixture(scope="module")
def littered(account: Governed) -> Governed:
    """The same after a job that failed, and with what it and others have left of serving."""
    project = account.project
    project.compose(*overrides(account, "data.fraction=0.004"))
    project.dvc("repro", code=255)
    project.git("checkout", "--quiet", "--", ".")
    project.dvc("checkout", "--quiet")
    leave(account)
    return account


def steward(account: Governed) -> Project:
    return account.act_as(account.infrastructure.outputs()["StewardRole"], account.project)


def plan(account: Governed, *more: str) -> dict[str, dict[str, Any]]:
    """What is left, by kind and name."""
    said = json.loads(steward(account).run("lineage", "aws", "cleanup", "--plan", "--json", *more))
    return {f"{item['kind']} {item['name']}": item for item in said["left"]}


def test_the_plan_says_what_goes_what_stays_and_what_it_costs(littered: Governed) -> None:
    before = everything(littered)
    left = plan(littered, *NOW)
    goes = {name for name, item in left.items() if not item["kept"]}
    # what lies below the project's own address is named, whoever put it there; nothing else of theirs is
    theirs = {name: item for name, item in left.items() if "of-others" in name or "of-nobody" in name}
    assert {name.partition(" ")[0] for name in theirs} == {"objects"}
    assert all(item["kept"] for item in theirs.values())
    assert goes >= {"endpoint served", "endpoint-config served", "model served", "pipeline served"}
    assert goes >= {
        f"model-package {GROUP}served/1",
        f"model-package-group {GROUP}served",
        f"model-package {GROUP}serves/3",
    }
    assert "models:/traceable-digits/1 serves there" in left["endpoint serves"]["kept"]
    assert "an endpoint that stays uses it" in left["endpoint-config serves"]["kept"]
    assert "a configuration or a job that stays uses it" in left["model serves"]["kept"]
    assert "executions that go" in left["pipeline serves"]["kept"] or "ended well" in left["pipeline serves"]["kept"]
    assert left[f"model-package {GROUP}serves/1"]["kept"] == "its model is in MLflow or in Git"
    assert left[f"model-package {GROUP}serves/2"]["kept"] == "it is approved"
    assert left[f"model-package-group {GROUP}serves"]["kept"] == "2 of its packages stay"
    assert left["endpoint serves"]["cost"].startswith("2 x ml.m5.large, ")
    logs = {name: item for name, item in left.items() if item["kind"] == "log"}
    assert sum(not item["kept"] for item in logs.values()) == 2  # of the job that failed, and of the one stopped
    assert sum("its log says how a model was made" in item["kept"] for item in logs.values()) == 3
    objects = [item for item in left.values() if item["kind"] == "objects" and item["name"].startswith("job ")]
    assert len(objects) == 5
    assert all("MiB" in item["cost"] for item in objects)
    code = {name.rpartition("/")[2]: item["kept"] for name, item in left.items() if "/pipelines/code/" in name}
    assert code.pop("serves-2") == "a pipeline that stays runs it"
    assert {name for name, kept in code.items() if not kept} == {"serves-1", "served-1", "served-2"}
    assert everything(littered) == before


def test_what_is_of_today_stays_for_a_day(littered: Governed) -> None:
    left = plan(littered)
    kept = [item["kept"] for name, item in left.items() if name.startswith(("log ", "objects job "))]
    assert set(kept) == {"the job ended less than a day ago"}
    assert [name for name, item in left.items() if not item["kept"]] == []
    assert left["endpoint served"]["kept"] == "it was made or changed less than a day ago"
    assert left["model alone"]["kept"] == "it was made less than a day ago"  # as of a deployment that has just begun


def test_the_launcher_cannot_delete(littered: Governed) -> None:
    before = everything(littered)
    said = littered.project.run("lineage", "aws", "cleanup", "--execute", "--yes", *NOW, code=1)
    assert "tag:GetResources" in said
    assert everything(littered) == before


def test_where_mlflow_is_silent_what_may_serve_stays(littered: Governed) -> None:
    project = steward(littered)
    params = (project.root / "params.yaml").read_text()
    (project.root / "params.yaml").write_text(params.replace(littered.tracking, "sqlite:////nowhere/x.db"))
    try:
        left = plan(littered, *NOW)
    finally:
        (project.root / "params.yaml").write_text(params)
    assert "is not known" in left["endpoint served"]["kept"]
    assert "is not known" in left[f"model-package {GROUP}served/1"]["kept"]
    assert left["model served"]["kept"]


def test_what_cannot_be_seen_stays_with_all_that_it_may_use(littered: Governed) -> None:
    littered.put("steward", without="LookAtWhatIsOurs")
    try:
        said = json.loads(steward(littered).run("lineage", "aws", "cleanup", "--plan", "--json", *NOW))
    finally:
        littered.put("steward")
    assert {"endpoint serves", "endpoint served", "model serves", "pipeline served"} <= set(said["unseen"])
    assert {item["kind"] for item in said["left"] if not item["kept"]} <= {"model-package", "model-package-group"}


def test_what_goes_is_gone_and_the_rest_is_as_it_was(littered: Governed, lineage: Lineage) -> None:
    before = everything(littered)
    left = plan(littered, *NOW)
    going = {address for item in left.values() if not item["kept"] for address in item["addresses"]}
    said = steward(littered).run("lineage", "aws", "cleanup", "--execute", "--yes", *NOW)
    assert "left:" not in said.partition("deleted:")[2]
    after = everything(littered)
    for kind in ("endpoint", "config", "model", "pipeline", "group"):
        assert before[kind] - after[kind] == {"served"} | ({"alone"} if kind == "model" else set()), kind
        assert after[kind] >= {"serves", "of-others", "of-nobody"}
    assert after["data"] == before["data"]
    assert after["artifacts"] == before["artifacts"]
    bucket = littered.infrastructure.outputs()["JobsBucketName"]
    assert {f"s3://{bucket}/{key}" for key in before["jobs"] - after["jobs"]} == {
        address for address in going if address.startswith("s3://")
    }
    versions = littered.client("s3").list_object_versions(Bucket=bucket)  # the bucket keeps them
    left_of_it = {one["Key"] for one in (*versions["Versions"], *versions.get("DeleteMarkers", []))}
    assert left_of_it & before["jobs"] == after["jobs"]
    of_packages = {key for key in after["jobs"] if "/registry/" in key}  # versions that stay
    assert of_packages == {key for key in before["jobs"] if "/registry/" in key} != set()
    assert {key.split("/", 1)[1] for key in after["jobs"] - of_packages} == {
        *(f"serving/{name}/model.tar.gz" for name in ("serves", "of-others", "of-nobody")),
        *(f"pipelines/code/{name}/launch.py" for name in ("serves-2", *OF_OTHERS)),
    }
    assert [item for item in plan(littered, *NOW).values() if not item["kept"]] == []
    proof = lineage.verify(littered.project, "models:/traceable-digits/1", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})


def test_a_person_is_erased_by_the_steward_and_not_by_the_launcher(littered: Governed) -> None:
    project = littered.project
    write_registry(littered, {"PAT-00024": "2024-01-31T08:30:00Z"})
    project.compose(*overrides(littered, "privacy=registry", f"privacy.registry.path={registry(littered)}"))
    project.environment["PIPELINE_COMPUTE"] = "local"
    project.dvc("repro", "preprocess")
    project.commit("Somebody revoked")
    project.dvc("push", "--quiet")
    erase = ("lineage", "erase", "PAT-00024", "--execute", "--yes", "--reason", "request 17")
    assert "s3:ListBucketVersions" in project.run(*erase, code=None)
    before = everything(littered)["data"]
    said = steward(littered).run(*erase, code=2)  # a store that an earlier commit names was not looked into
    assert said.count("  left: ") == 1
    assert before - everything(littered)["data"]
    versions = littered.client("s3").list_object_versions(Bucket="traceable-digits-data-123456789012")
    assert {one["Key"] for one in versions["Versions"]} == everything(littered)["data"]


def test_every_statement_is_needed_here_or_said_to_be_needed_at_aws_alone(account: Governed) -> None:
    """By what was asked in all of this: without the statement a request would have been refused."""
    page = shown(account.project.root)
    for role in ("launcher", "jobs", "mlflow", "ci", "steward"):
        assert {statement["Sid"] for statement in account.statements[role]} <= {
            sid for name, sid in page if name == role
        }
        assert account.needed(role) == shown_here(account.project.root, role), role


def test_every_call_is_listed_with_its_permission(account: Governed) -> None:
    listed = {(role, call.permission) for call in calls(account.project.root) for role in call.roles}
    made = {
        (request["role"].rpartition("-")[2], request["action"]) for request in account.requests if request["allowed"]
    }
    made |= {("launcher", action) for action in ASKED_IN_VAIN}
    assert made - listed == set()
