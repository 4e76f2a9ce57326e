"""What the service does in the roles of infra/: each statement of those of pipelines and endpoints is taken away once.

The steps and the model here are lines of shell and Python. That the project's own ask for the same, the tests of
pipelines and of serving show.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_standin.container import can_run
from baked import Project, bake
from botocore.exceptions import ClientError
from governed import PIPELINE, Governed, registry, set_up, write_registry
from permissions_page import BY_PIPELINES, BY_SERVING
from servers import aws_standin

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/pytorch:1"
JOBS = "traceable-digits-jobs-123456789012"
PLACE = f"s3://{JOBS}/traceable-digits"
TAGS = [{"Key": "lineage:project_id", "Value": "p1"}]
ID = {"Get": "Execution.PipelineExecutionId"}
REFUSED = "is not authorized to perform"
SERVE = """#!/usr/bin/env python3
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    do_POST = do_GET

HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("account")
    (folder / "image").mkdir()
    (folder / "image" / "serve").write_text(SERVE)
    (folder / "image" / "serve").chmod(0o755)
    root = bake(folder, infra="yes")
    with aws_standin(folder, {IMAGE: folder / "image"}) as endpoint:
        infrastructure = set_up(root, "p1", folder, endpoint)
        yield Governed(folder, endpoint, "", Project(root, Path()), infrastructure)


def step(account: Governed, name: str, script: str, **more: Any) -> dict[str, Any]:
    """A Processing step that runs a line of shell."""
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    arguments = {
        "RoleArn": account.infrastructure.outputs()["JobsRole"],
        "Tags": TAGS,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["sh", "-c", script]},
        "ProcessingResources": {"ClusterConfig": cluster},
        **more,
    }
    return {"Name": name, "Type": "Processing", "Arguments": arguments}


def joined(on: str, *values: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": on, "Values": list(values)}}


def definition(account: Governed) -> str:
    """A step that makes scores, a gate that reads them, and behind it lineage: all that a pipeline's role is for."""
    folder, file = "/opt/ml/processing/out", {"PropertyFileName": "S", "OutputName": "out", "FilePath": "s.json"}
    target = {"LocalPath": folder, "S3UploadMode": "EndOfJob"}
    target["S3Uri"] = joined("/", f"{PLACE}/pipelines/{PIPELINE}", ID, "scores")  # type: ignore[assignment]
    outputs = {"Outputs": [{"OutputName": "out", "S3Output": target}]}
    score = step(account, "score", f"""echo '{{"x": 1}}' > {folder}/s.json""", ProcessingOutputConfig=outputs)
    action = joined("-", "score", ID)
    association = {
        "Source": {"Name": "data", "Type": "Artifact"},
        "Destination": {"Name": action, "Type": "Action"},
        "AssociationType": "ContributedTo",
    }
    source = {"SourceUri": f"{PLACE}/report", "SourceType": "report"}
    lineage = {
        "Artifacts": [{"ArtifactName": "data", "ArtifactType": "DataSet", "Source": {"SourceUri": f"{PLACE}/data"}}],
        "Actions": [{"ActionName": action, "ActionType": "Processing", "Source": source}],
        "Associations": [association],
    }
    read = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.score.PropertyFiles.S"}, "Path": "x"}}
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": read, "RightValue": 0.5}
    chosen = {"IfSteps": [{"Name": "record", "Type": "Lineage", "Arguments": lineage}], "ElseSteps": []}
    gate = {"Name": "gate", "Type": "Condition", "Arguments": {"Conditions": [condition], **chosen}}
    return json.dumps({"Version": "2020-12-01", "Steps": [{**score, "PropertyFiles": [file]}, gate]})


def run(account: Governed, arn: str = "") -> tuple[str, str]:
    """How an execution ended, a new one unless `arn` names one, and what its steps say of it. By the launcher."""
    launcher, deadline = account.client_as("launcher", "sagemaker"), time.monotonic() + 120
    arn = arn or launcher.start_pipeline_execution(PipelineName=PIPELINE)["PipelineExecutionArn"]
    while True:
        said = launcher.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        if said not in ("Executing", "Stopping"):
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks at the condition
    steps = launcher.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return said, " ".join(each.get("FailureReason", "") for each in steps)


def test_a_pipeline_needs_each_statement_of_its_role_and_of_its_jobs(account: Governed) -> None:
    launcher, role = account.client_as("launcher", "sagemaker"), account.infrastructure.outputs()["PipelineRole"]
    place = {"PipelineName": PIPELINE, "RoleArn": role}
    launcher.create_pipeline(**place, PipelineDefinition=definition(account), Tags=TAGS)
    assert run(account)[0] == "Succeeded"
    for sid in sorted(BY_PIPELINES["pipeline"] - {"StopSteps"}):
        with account.without("pipeline", sid):
            status, said = run(account)
        assert (status, REFUSED in said) == ("Failed", True), sid
    needed = account.needed("jobs")
    assert needed == {"AskForImages", "PullOwnImage", "FetchAndReport", "UseDataKey", "MakeLogs", "WriteLogs"}
    for sid in sorted(needed):
        with account.without("jobs", sid):
            assert run(account)[0] == "Failed", sid

    endless = json.dumps({"Version": "2020-12-01", "Steps": [step(account, "endless", "exec sleep 600")]})
    launcher.update_pipeline(**place, PipelineDefinition=endless)
    for sid, status in (("StopSteps", "InProgress"), ("", "Stopped")):
        arn = launcher.start_pipeline_execution(PipelineName=PIPELINE)["PipelineExecutionArn"]
        job = job_of(account, arn)
        account.put("pipeline", without=sid)
        launcher.stop_pipeline_execution(PipelineExecutionArn=arn)
        assert (REFUSED in run(account, arn)[1]) == bool(sid)
        seen = account.client("sagemaker").describe_processing_job(ProcessingJobName=job)
        assert seen["ProcessingJobStatus"] == status
        account.client("sagemaker").stop_processing_job(ProcessingJobName=job)
    assert account.needed("pipeline") == BY_PIPELINES["pipeline"]


def job_of(account: Governed, arn: str) -> str:
    """The name of the job of the first step, when there is one."""
    deadline = time.monotonic() + 60
    while True:
        steps = account.client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)
        if (found := steps["PipelineExecutionSteps"]) and found[0].get("Metadata"):
            return str(found[0]["Metadata"]["ProcessingJob"]["Arn"]).rpartition("/")[2]
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks at the condition


def settled(account: Governed, name: str) -> tuple[str, str]:
    """The status of an endpoint when nothing is under way any more, and its configuration or why it failed."""
    deadline = time.monotonic() + 60
    while True:
        said = account.client("sagemaker").describe_endpoint(EndpointName=name)
        if said["EndpointStatus"] in ("InService", "Failed"):
            return said["EndpointStatus"], said.get("FailureReason") or said["EndpointConfigName"]
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks at the condition


@pytest.fixture(scope="module")
def served(account: Governed) -> Governed:
    """A model and two configurations of it in the account."""
    sagemaker, s3, packed = account.client("sagemaker"), account.client("s3"), io.BytesIO()
    tarfile.open(fileobj=packed, mode="w:gz").close()
    s3.put_object(Bucket=JOBS, Key="traceable-digits/serving/x/model.tar.gz", Body=packed.getvalue())
    s3.put_object(Bucket=JOBS, Key="traceable-digits/inputs/0", Body=b"x")
    sagemaker.create_model(
        ModelName="model",
        ExecutionRoleArn=account.infrastructure.outputs()["EndpointRole"],
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"{PLACE}/serving/x/model.tar.gz"},
    )
    variant = {"VariantName": "All", "ModelName": "model", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    capture = {"EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": f"{PLACE}/captured"}
    for name in ("first", "second"):
        sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[variant],
            DataCaptureConfig={**capture, "CaptureOptions": [{"CaptureMode": "Input"}]},
        )
    return account


def transformed(account: Governed, name: str) -> tuple[str, str]:
    """How a batch ended, and why."""
    sagemaker, deadline = account.client("sagemaker"), time.monotonic() + 60
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName="model",
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{PLACE}/inputs/"}}},
        TransformOutput={"S3OutputPath": f"{PLACE}/answers/{name}"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    while (said := sagemaker.describe_transform_job(TransformJobName=name))["TransformJobStatus"] == "InProgress":
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks at the condition
    return said["TransformJobStatus"], said.get("FailureReason", "")


def test_an_endpoint_needs_each_statement_of_its_role(served: Governed) -> None:
    sagemaker, runtime = served.client("sagemaker"), served.client("sagemaker-runtime")
    for sid in ("ReadModel", "UseDataKey", "WriteLogs", "AskForImages", "PullOwnImage"):
        with served.without("endpoint", sid):
            sagemaker.create_endpoint(EndpointName=sid, EndpointConfigName="first")
            status, said = settled(served, sid)
        assert (status, REFUSED in said) == ("Failed", True), sid
    sagemaker.create_endpoint(EndpointName="served", EndpointConfigName="first")
    assert settled(served, "served") == ("InService", "first")
    with pytest.raises(ClientError, match="already existing"):
        sagemaker.create_endpoint(EndpointName="served", EndpointConfigName="second")

    def kept() -> int:
        found = served.client("s3").list_objects_v2(Bucket=JOBS, Prefix="traceable-digits/captured/")
        return int(found["KeyCount"])

    with served.without("endpoint", "KeepWhatWasAsked"):
        runtime.invoke_endpoint(EndpointName="served", Body=b"x")
    assert kept() == 0
    runtime.invoke_endpoint(EndpointName="served", Body=b"x")
    assert kept() == 1

    options = {"Namespace": "n", "MetricName": "m", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    served.client("cloudwatch").put_metric_alarm(
        AlarmName="errors", ComparisonOperator="GreaterThanThreshold", Statistic="Sum", **options
    )
    size = {"Type": "CAPACITY_PERCENT", "Value": 50}
    routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": 0}
    canary = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
    }
    wanted = {"EndpointName": "served", "EndpointConfigName": "second", "DeploymentConfig": canary}
    with served.without("endpoint", "WatchAlarms"):
        sagemaker.update_endpoint(**wanted)
        with pytest.raises(ClientError, match="in-progress"):  # one change at a time
            sagemaker.update_endpoint(**wanted)
        assert "cloudwatch:DescribeAlarms" in settled(served, "served")[1]
    assert sagemaker.describe_endpoint(EndpointName="served")["EndpointConfigName"] == "first"
    sagemaker.update_endpoint(**wanted)
    assert settled(served, "served") == ("InService", "second")

    for sid in ("ListJobs", "ReadInputs"):
        with served.without("endpoint", sid):
            status, said = transformed(served, f"less-{sid}")
        assert (status, REFUSED in said) == ("Failed", True), sid
    assert transformed(served, "whole") == ("Completed", "")
    assert served.needed("endpoint") == BY_SERVING["endpoint"]


def test_an_endpoint_sees_neither_code_nor_who_consents(account: Governed) -> None:
    write_registry(account, {})
    bucket, _, key = registry(account).removeprefix("s3://").partition("/")
    account.client("s3").put_object(Bucket=JOBS, Key="traceable-digits/pipelines/code/0a/launch.py", Body=b"code")
    endpoint = account.client_as("endpoint", "s3")
    for place in ((bucket, key), (JOBS, "traceable-digits/pipelines/code/0a/launch.py")):
        with pytest.raises(ClientError, match="not authorized to perform: s3:GetObject"):
            endpoint.get_object(Bucket=place[0], Key=place[1])
        with pytest.raises(ClientError, match="not authorized to perform: s3:PutObject"):
            endpoint.put_object(Bucket=place[0], Key=place[1], Body=b"another")
