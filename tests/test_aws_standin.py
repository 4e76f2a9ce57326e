"""The stand-in runs jobs as the service does: what goes in, what comes out, what is said meanwhile."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from aws_standin.container import can_layer, can_run
from aws_standin.interruptions import Order, left, order
from servers import aws_standin

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
ROLE = "arn:aws:iam::123456789012:role/jobs"
IMAGE = "registry.example/image:1"
BUILT = "registry.example/built:1"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("aws")


@pytest.fixture(scope="module")
def built(state: Path) -> Path:
    """An image like one that was built: a root file system, with `sh` and `ls` alone."""
    image = state / "image"
    for program in ("sh", "ls"):
        file = str(shutil.which(program))
        needed = subprocess.run(["ldd", file], capture_output=True, text=True, check=True).stdout
        for path in (file, *re.findall(r"(/\S+) \(0x", needed)):
            (image / "rootfs" / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, image / "rootfs" / path[1:])
    (image / "image.json").write_text('{"config": {"Env": ["PATH=/usr/bin:/bin", "WORD=of=the image"]}}')
    return image


@pytest.fixture(scope="module")
def aws(state: Path, built: Path) -> Iterator[Any]:
    """Makes clients of a running stand-in."""
    with aws_standin(state, {IMAGE: Path(sys.executable).parent, BUILT: built}) as endpoint:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "eu-central-1"}

        def client(service: str) -> Any:
            return boto3.client(service, endpoint_url=endpoint, **keys)

        client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


def train(aws: Any, name: str, script: str, **more: Any) -> None:
    aws("s3").put_object(Bucket="bucket", Key=f"{name}/code/script.sh", Body=script.encode())
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/{name}/code"}}
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["sh"],
            "ContainerArguments": ["/opt/ml/input/data/code/script.sh"],
        },
        "InputDataConfig": [{"ChannelName": "code", "DataSource": source}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **more,
    }
    aws("sagemaker").create_training_job(**request)


def ended(aws: Any, name: str, kind: str = "training") -> dict[str, Any]:
    """The description of a job after it has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if kind == "training":
            job = aws("sagemaker").describe_training_job(TrainingJobName=name)
        else:
            job = aws("sagemaker").describe_processing_job(ProcessingJobName=name)
        if job[f"{kind.title()}JobStatus"] in ("Completed", "Failed", "Stopped"):
            return dict(job)
        time.sleep(0.1)  # between two looks at the condition
    pytest.fail(f"{name} did not end")


def lines(aws: Any, group: str, name: str) -> list[str]:
    logs = aws("logs")
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)["logStreams"]
    events = [
        logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)["events"]
        for stream in streams
    ]
    return [event["message"] for page in events for event in page]


def test_a_training_job_runs_and_its_model_is_kept(aws: Any) -> None:
    script = """
echo "channel: $(ls /opt/ml/input/data)"
cat /opt/ml/input/config/hyperparameters.json
echo "$TRAINING_JOB_NAME says $WORD"
echo weights > /opt/ml/model/weights
"""
    train(aws, "good", script, Environment={"WORD": 'it\'s "quoted" $HOME'}, HyperParameters={"lr": "0.1"})
    job = ended(aws, "good")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert job["BillableTimeInSeconds"] >= 1
    assert lines(aws, "/aws/sagemaker/TrainingJobs", "good") == [
        "channel: code",
        '{"lr": "0.1"}good says it\'s "quoted" $HOME',
    ]
    archive = aws("s3").get_object(Bucket="bucket", Key="out/good/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert "./weights" in tar.getnames()


def test_a_failed_job_says_what_it_wrote_down(aws: Any) -> None:
    train(aws, "bad", "echo reason > /opt/ml/output/failure; exit 3")
    job = ended(aws, "bad")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: reason\n, exit code: 3"


def test_jobs_side_by_side_do_not_see_each_other(aws: Any) -> None:
    for name in ("one", "two"):
        train(aws, name, f"echo {name} > /opt/ml/mine; sleep 1; cat /opt/ml/mine")
    for name in ("one", "two"):
        assert ended(aws, name)["TrainingJobStatus"] == "Completed"
        assert lines(aws, "/aws/sagemaker/TrainingJobs", name) == [name]
    assert not Path("/opt/ml/mine").exists()


def test_a_job_is_stopped(aws: Any) -> None:
    train(aws, "endless", "trap 'echo asked to stop; exit 0' TERM; echo begun; while true; do sleep 0.1; done")
    deadline = time.monotonic() + 60
    while lines_so_far(aws) != ["begun"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # between two looks at the condition
    aws("sagemaker").stop_training_job(TrainingJobName="endless")
    assert ended(aws, "endless")["TrainingJobStatus"] == "Stopped"
    assert lines(aws, "/aws/sagemaker/TrainingJobs", "endless") == ["begun", "asked to stop"]


def lines_so_far(aws: Any) -> list[str]:
    try:
        return lines(aws, "/aws/sagemaker/TrainingJobs", "endless")
    except aws("logs").exceptions.ResourceNotFoundException:
        return []


def test_a_job_that_takes_too_long_is_stopped(aws: Any) -> None:
    train(aws, "slow", "exec sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert ended(aws, "slow")["TrainingJobStatus"] == "Stopped"


# counts in its folder of checkpoints, and says from where
COUNTS = """
cd /opt/ml/checkpoints; n=$(cat n 2>/dev/null || echo 0); echo "from $n"; touch /opt/ml/model/$n
trap 'echo asked to stop; exit 1' TERM
while [ $n -lt 40 ]; do n=$((n + 1)); echo $n > n.partial; mv n.partial n; sleep 0.05; done
"""


def test_a_spot_job_goes_on_elsewhere_with_its_checkpoints_alone(aws: Any, state: Path) -> None:
    order(state, Order("spot", saves=3), Order("spot", saves=2, delay=0.1, grace=0))
    limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90}
    checkpoints = {"S3Uri": "s3://bucket/kept"}
    more = {"StoppingCondition": limits, "EnableManagedSpotTraining": True, "CheckpointConfig": checkpoints}
    train(aws, "spot", COUNTS, **more)
    job = ended(aws, "spot")
    assert (job["TrainingJobStatus"], left(state)) == ("Completed", 0)
    passed = [one["Status"] for one in job["SecondaryStatusTransitions"]]
    assert passed == [*["Starting", "Downloading", "Training", "Interrupted"] * 2, *passed[8:]]
    assert passed[8:] == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    said = lines(aws, "/aws/sagemaker/TrainingJobs", "spot")
    begun = [int(line.removeprefix("from ")) for line in said if line.startswith("from ")]
    assert 0 == begun[0] < begun[1] < begun[2] < 40
    assert said.count("asked to stop") == 1  # the other had no time of grace
    assert aws("s3").get_object(Bucket="bucket", Key="kept/n")["Body"].read() == b"40\n"
    archive = aws("s3").get_object(Bucket="bucket", Key="out/spot/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert sorted(tar.getnames()) == [".", f"./{begun[2]}"]  # nothing else is left of earlier instances


def test_a_spot_job_waits_no_longer_than_it_may(aws: Any, state: Path) -> None:
    limits = {"MaxRuntimeInSeconds": 2, "MaxWaitTimeInSeconds": 2}  # it works for less than that on each
    order(state, *[Order("waits", delay=0.2, grace=0)] * 9)
    train(aws, "waits", "exec sleep 600", StoppingCondition=limits, EnableManagedSpotTraining=True)
    assert ended(aws, "waits")["TrainingJobStatus"] == "Stopped"


def test_an_image_that_nobody_has(aws: Any) -> None:
    specification = {"TrainingImage": "nowhere/at:all", "TrainingInputMode": "File", "ContainerEntrypoint": ["true"]}
    train(aws, "no-image", "", AlgorithmSpecification=specification)
    assert "Cannot pull the image nowhere/at:all" in ended(aws, "no-image")["FailureReason"]


@pytest.mark.skipif(not can_layer(), reason="this machine lays no layer over a root file system")
def test_a_job_in_an_image_that_was_built_sees_its_files_alone_and_changes_none(aws: Any, built: Path) -> None:
    before = sorted(built.rglob("*"))
    specification = {
        "TrainingImage": BUILT,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["sh", "-c"],
        "ContainerArguments": ['echo "$WORD $HOME $$"; ls /dev; echo x > /left; echo x > /opt/ml/model/kept; ls /'],
    }
    train(aws, "built", "", AlgorithmSpecification=specification)
    assert ended(aws, "built")["TrainingJobStatus"] == "Completed"
    head, *found = lines(aws, "/aws/sagemaker/TrainingJobs", "built")
    assert head == "of=the image /root 1"
    own = {path.name for path in (built / "rootfs").iterdir()}
    devices = {"fd", "full", "null", "random", "shm", "tty", "urandom", "zero"}
    assert set(found) == devices | own | {"dev", "etc", "left", "opt", "proc", "sys"}
    assert sorted(built.rglob("*")) == before
    archive = aws("s3").get_object(Bucket="bucket", Key="out/built/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert "./kept" in tar.getnames()


def test_a_processing_job_brings_its_outputs(aws: Any) -> None:
    aws("s3").put_object(Bucket="bucket", Key="in/number.txt", Body=b"41")
    request = {
        "ProcessingJobName": "process",
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["sh", "-c", 'echo $(($(cat /opt/ml/processing/in/number.txt) + 1)) > "$OUT"'],
        },
        "ProcessingInputs": [
            {
                "InputName": "in",
                "S3Input": {
                    "S3Uri": "s3://bucket/in",
                    "LocalPath": "/opt/ml/processing/in",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "out",
                    "S3Output": {
                        "S3Uri": "s3://bucket/processed",
                        "LocalPath": "/opt/ml/processing/out",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "Environment": {"OUT": "/opt/ml/processing/out/answer"},
    }
    aws("sagemaker").create_processing_job(**request)
    assert ended(aws, "process", "processing")["ProcessingJobStatus"] == "Completed"
    assert aws("s3").get_object(Bucket="bucket", Key="processed/answer")["Body"].read() == b"42\n"


def test_a_job_that_is_not_there(aws: Any) -> None:
    with pytest.raises(aws("sagemaker").exceptions.ClientError, match="nothing"):
        aws("sagemaker").stop_training_job(TrainingJobName="nothing")


def test_what_there_is_not_is_refused_at_once(aws: Any) -> None:
    """As an error of the client: one of the server would be asked for again for half a minute."""
    begun = time.monotonic()
    for service, call, arguments in (
        ("sagemaker", "list_workteams", {}),
        ("sagemaker", "list_code_repositories", {}),
        ("secretsmanager", "validate_resource_policy", {"ResourcePolicy": "{}"}),
    ):
        with pytest.raises(aws(service).exceptions.ClientError, match=r"no .* here"):
            getattr(aws(service), call)(**arguments)
    assert time.monotonic() - begun < 10


def test_no_answer_holds_an_empty_field(aws: Any) -> None:
    client = aws("sagemaker")
    client.create_model(ModelName="empty", PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    assert {} not in client.describe_model(ModelName="empty").values()


def test_who_may_not_is_told_so(tmp_path: Path) -> None:
    """moto enforces IAM when it is asked to; its refusal has another form than SageMaker's."""
    with aws_standin(tmp_path, {}) as endpoint:
        where = {"endpoint_url": endpoint, "region_name": "eu-central-1"}
        iam = boto3.client("iam", **where, aws_access_key_id="x", aws_secret_access_key="y")
        iam.create_user(UserName="nobody")
        key = iam.create_access_key(UserName="nobody")["AccessKey"]
        request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        urllib.request.urlopen(request).close()
        keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        with pytest.raises(botocore.exceptions.ClientError, match="is not authorized") as refused:
            boto3.client("sagemaker", **where, **keys).list_training_jobs()
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
