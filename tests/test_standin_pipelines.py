"""The stand-in executes pipelines: order, parameters, joins, property files, conditions, retry, stop."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_standin.container import can_run
from aws_standin.place import client_of
from servers import aws_standin

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
ROLE = "arn:aws:iam::123456789012:role/jobs"
IMAGE, REGION = "registry.example/image:1", "eu-central-1"
ID = {"Get": "Execution.PipelineExecutionId"}


class Account:
    """The stand-in, and pipelines in it whose steps are lines of shell."""

    def __init__(self, endpoint: str) -> None:
        self.aws, self.s3, self.logs = (client_of(name, endpoint, REGION) for name in ("sagemaker", "s3", "logs"))

    def start(self, name: str, steps: list[dict[str, Any]], declared: Any = (), **given: str) -> str:
        definition = {"Version": "2020-12-01", "Parameters": list(declared), "Steps": steps}
        text = json.dumps(definition)
        self.aws.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=text, ClientRequestToken="x" * 32)
        pairs = [{"Name": key, "Value": value} for key, value in given.items()]
        return str(
            self.aws.start_pipeline_execution(PipelineName=name, PipelineParameters=pairs)["PipelineExecutionArn"]
        )

    def ended(self, arn: str) -> str:
        """Its last status."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = str(self.aws.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])
            if status in ("Succeeded", "Failed", "Stopped"):
                return status
            time.sleep(0.1)  # between two looks at the condition
        pytest.fail(f"{arn} did not end: {self.steps(arn)}")

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        """What the steps say, by name, in the order in which they began."""
        listed = self.aws.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        return {step["StepName"]: step for step in listed[::-1]}

    def said(self, arn: str, step: str) -> str:
        """The log of a step's job."""
        name = self.steps(arn)[step]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
        group = "/aws/sagemaker/ProcessingJobs"
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)["logStreams"]
        where = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"], "startFromHead": True}
        return "\n".join(event["message"] for event in self.logs.get_log_events(**where)["events"])

    def put(self, key: str) -> None:
        self.s3.put_object(Bucket="bucket", Key=key, Body=b"")

    def until(self, arn: str, step: str) -> None:
        """Waits until a step has a job."""
        deadline = time.monotonic() + 60
        while not self.steps(arn).get(step, {}).get("Metadata"):
            assert time.monotonic() < deadline
            time.sleep(0.1)  # between two looks at the condition


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with aws_standin(tmp_path_factory.mktemp("aws"), {IMAGE: Path(sys.executable).parent}) as endpoint:
        account = Account(endpoint)
        where = {"LocationConstraint": REGION}
        account.s3.create_bucket(Bucket="bucket", CreateBucketConfiguration=where)
        yield account


def step(name: str, script: str, *after: str, environment: Any = None, out: Any = None, **more: Any) -> dict[str, Any]:
    """A Processing step that runs a line of shell; what it writes below $OUT goes to `out`."""
    folder = "/opt/ml/processing/out"
    target = {"S3Uri": out, "LocalPath": folder, "S3UploadMode": "EndOfJob"}
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    arguments = {
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["sh", "-c", script]},
        "ProcessingResources": {"ClusterConfig": cluster},
        "Environment": {"OUT": folder, **(environment or {})},
        **({"ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": target}]}} if out else {}),
    }
    return {"Name": name, "Type": "Processing", "Arguments": arguments, "DependsOn": list(after), **more}


def parameter(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": kind, **more}


def joined(*values: Any, on: str = "/") -> dict[str, Any]:
    return {"Std:Join": {"On": on, "Values": list(values)}}


def test_steps_run_in_their_order_with_what_they_refer_to(account: Account) -> None:
    number = {"Get": "Parameters.Number"}
    told = {"NUMBER": joined("n=", number, on=""), "WHO": ID}
    place = joined("s3://bucket/made", ID)
    first = step("first", 'echo "$NUMBER $WHO"; echo made > "$OUT/file"', environment=told, out=place)
    made = "Steps.first.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"
    second = step("second", 'echo "$PLACE"', environment={"PLACE": {"Get": made}})
    third = step("third", "true", "second")
    arn = account.start("order", [third, second, first], [parameter("Number", "Integer", DefaultValue=3)], Number="41")
    identity = arn.rpartition("/")[2]
    assert account.ended(arn) == "Succeeded"
    assert list(account.steps(arn)) == ["first", "second", "third"]
    assert account.said(arn, "first") == f"n=41 {identity}"
    assert account.said(arn, "second") == f"s3://bucket/made/{identity}"
    assert account.s3.get_object(Bucket="bucket", Key=f"made/{identity}/file")["Body"].read() == b"made\n"
    job = account.steps(arn)["first"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    assert job.startswith(f"pipelines-{identity}-first-")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"Rate": "fast"}, "Rate is not of type Float"),
        ({"Other": "1"}, "Unknown pipeline parameters: Other"),
        ({}, "Missing value of parameter Rate"),
        ({"Rate": "1", "Size": "huge"}, "Size must be one of"),
    ],
)
def test_parameters_that_are_refused(account: Account, given: dict[str, str], said: str) -> None:
    declared = [parameter("Rate", "Float"), parameter("Size", "String", DefaultValue="s", EnumValues=["s", "m"])]
    name = f"refused-{abs(hash(said))}"
    with pytest.raises(account.aws.exceptions.ClientError, match=said):
        account.start(name, [step("one", "true")], declared, **given)
    assert account.aws.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"] == []


def gate(least: Any) -> dict[str, Any]:
    score = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.score.PropertyFiles.Scores"}, "Path": "test['f1']"}}
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": score, "RightValue": least}
    fail = {"Name": "bad", "Type": "Fail", "Arguments": {"ErrorMessage": joined("below", least, on=" ")}}
    chosen = {"Conditions": [condition], "IfSteps": [step("good", "true")], "ElseSteps": [fail]}
    return {"Name": "gate", "Type": "Condition", "Arguments": chosen}


@pytest.mark.parametrize(("least", "status", "ran"), [("0.9", "Succeeded", "good"), ("0.98", "Failed", "bad")])
def test_a_condition_on_a_property_file(account: Account, least: str, status: str, ran: str) -> None:
    file = {"PropertyFileName": "Scores", "OutputName": "out", "FilePath": "scores.json"}
    write = """echo '{"test": {"f1": 0.97}}' > "$OUT/scores.json\""""
    score = step("score", write, out=joined("s3://bucket/scores", ID), PropertyFiles=[file])
    steps = [score, gate({"Get": "Parameters.Least"}), step("after", "true", "gate")]
    arn = account.start(f"gate-{ran}", steps, [parameter("Least", "Float")], Least=least)
    assert account.ended(arn) == status
    assert {"good", "bad"} & {*account.steps(arn)} == {ran}
    outcome = account.steps(arn)["gate"]["Metadata"]["Condition"]["Outcome"]
    assert outcome == str(status == "Succeeded")
    if status == "Failed":
        assert account.steps(arn)["bad"]["FailureReason"] == "below 0.98"


def test_a_failed_step_is_retried_and_what_succeeded_is_kept(account: Account) -> None:
    flag = {
        "InputName": "flag",
        "S3Input": {
            "S3Uri": "s3://bucket/flag",
            "LocalPath": "/opt/ml/processing/in",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        },
    }
    flaky = step("flaky", "echo not yet > /opt/ml/output/message; ls /opt/ml/processing/in/there", "first")
    flaky["Arguments"]["ProcessingInputs"] = [flag]
    arn = account.start("retry", [step("first", "true"), flaky, step("last", "true", "flaky")])
    assert account.ended(arn) == "Failed"
    assert list(account.steps(arn)) == ["first", "flaky"]
    assert "not yet" in account.steps(arn)["flaky"]["FailureReason"]
    job = account.steps(arn)["first"]["Metadata"]
    account.put("flag/there")
    account.aws.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="y" * 32)
    assert account.ended(arn) == "Succeeded"
    assert account.steps(arn)["first"]["Metadata"] == job
    assert account.steps(arn)["last"]["StepStatus"] == "Succeeded"
    with pytest.raises(account.aws.exceptions.ClientError, match="cannot be retried"):
        account.aws.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="z" * 32)


def test_an_execution_is_stopped(account: Account) -> None:
    arn = account.start("stop", [step("endless", "exec sleep 600"), step("never", "true", "endless")])
    account.until(arn, "endless")
    account.aws.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="x" * 32)
    assert account.ended(arn) == "Stopped"
    assert {name: each["StepStatus"] for name, each in account.steps(arn).items()} == {"endless": "Stopped"}


def test_a_step_records_lineage(account: Account) -> None:
    source = {"SourceUri": "s3://bucket/data"}
    report = {"SourceUri": joined("s3://bucket", ID), "SourceType": "report"}
    action = {"ActionName": joined("train", ID, on="-"), "Source": report, "ActionType": "Training"}
    arguments = {
        "Artifacts": [{"ArtifactName": "data", "ArtifactType": "DataSet", "Source": source}],
        "Actions": [action],
        "Associations": [
            {
                "Source": {"Name": "data", "Type": "Artifact"},
                "Destination": {"Name": action["ActionName"], "Type": "Action"},
                "AssociationType": "ContributedTo",
            }
        ],
    }
    record = {"Name": "record", "Type": "Lineage", "Arguments": arguments}
    for name in ("lineage-1", "lineage-2"):
        assert account.ended(account.start(name, [record])) == "Succeeded"
    [artifact] = account.aws.list_artifacts()["ArtifactSummaries"]  # one for each source
    found = account.aws.list_associations(SourceArn=artifact["ArtifactArn"])["AssociationSummaries"]
    assert [each["DestinationArn"].rpartition("/")[2][:6] for each in found] == ["train-", "train-"]
    with pytest.raises(account.aws.exceptions.ClientError, match="exists"):
        account.aws.create_artifact(ArtifactName="data", ArtifactType="DataSet", Source=source)
