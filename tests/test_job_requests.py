"""Every setting of conf/compute/sagemaker.yaml arrives in the request that SageMaker gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aws_standin.container import can_run
from aws_standin.place import client_of
from baked import Project
from cloud import REGION, ROLE
from servers import aws_standin

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
NOWHERE = "registry.example/an-image-that-nobody-has:1"  # its jobs fail as soon as they were accepted
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TAGS = {"cost-center": "4711 / research", "owner": "it's me"}


@dataclass
class Account:
    """The stand-in, and a project that has no tracker and sends stages there."""

    endpoint: str
    project: Project

    def request(self, stage: str, *overrides: str, image: str = NOWHERE) -> dict[str, Any]:
        """What SageMaker says of the job that a stage was sent as; without an `image`, in one of AWS's own."""
        base = [f"compute.sagemaker.{key}={value}" for key, value in {"role": ROLE, "bucket": "the-jobs"}.items()]
        base += [f"compute.sagemaker.image='{image}'"] if image else []
        self.project.compose("compute=sagemaker", "callbacks=none", *base, *overrides)
        output = self.project.dvc("repro", "--force", "--single-item", "--no-run-cache", stage, code=255)
        assert "Cannot pull the image" in output
        name = next(word for word in output.split() if word.startswith(f"traceable-digits-{stage}-"))
        if stage == "train":
            return dict(self.client("sagemaker").describe_training_job(TrainingJobName=name))
        return dict(self.client("sagemaker").describe_processing_job(ProcessingJobName=name))

    @property
    def whose(self) -> dict[str, str]:
        """The tag that all of the project's jobs have."""
        return {"lineage:project_id": self.project.params["project_id"]}

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a job."""
        return {tag["Key"]: tag["Value"] for tag in self.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]}

    def read(self, address: str) -> str:
        """The text of an object."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        return str(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode())

    def client(self, service: str) -> Any:
        return client_of(service, self.endpoint, REGION)


@pytest.fixture(scope="module")
def account(linked: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    with aws_standin(folder, {}) as endpoint:
        project = linked.copy(folder)
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": REGION}
        project.environment |= {**keys, "AWS_ENDPOINT_URL": endpoint}
        (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = s3://the-jobs/dvc\n")
        account = Account(endpoint, project)
        bucket = {"Bucket": "the-jobs", "CreateBucketConfiguration": {"LocationConstraint": REGION}}
        account.client("s3").create_bucket(**bucket)
        yield account


def of_group(group: str, **values: Any) -> list[str]:
    return [f"compute.sagemaker.{group}.{key}={value}" for key, value in values.items()]


PLACE = [
    *of_group("network", subnets="[subnet-1,subnet-2]", security_groups="[sg-1]", encrypt_between_instances="true"),
    *of_group("kms", volume=f"'{KEY}'", output=f"'{KEY}'"),
    *(f'+compute.sagemaker.tags.{key}="{value}"' for key, value in TAGS.items()),
]


def test_a_training_job(account: Account) -> None:
    sizes = of_group("training", instance_type="ml.c5.xlarge", volume_gb=77, max_minutes=11)
    several = ["train.processes=4", *of_group("training", instance_count=2)]
    job = account.request("train", *PLACE, *sizes, *several, *of_group("training", spot="true", max_wait_minutes=22))
    assert job["RoleArn"] == ROLE
    assert job["AlgorithmSpecification"]["TrainingImage"] == NOWHERE
    assert job["ResourceConfig"] == {
        "InstanceType": "ml.c5.xlarge",
        "InstanceCount": 2,
        "VolumeSizeInGB": 77,
        "VolumeKmsKeyId": KEY,
    }
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 660, "MaxWaitTimeInSeconds": 1320}
    assert job["EnableManagedSpotTraining"] is True
    assert job["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}
    assert job["EnableInterContainerTrafficEncryption"] is True
    assert job["OutputDataConfig"]["KmsKeyId"] == KEY
    assert job["OutputDataConfig"]["S3OutputPath"].startswith("s3://the-jobs/traceable-digits/")
    assert account.tags(job["TrainingJobArn"]) == TAGS | account.whose
    assert not job.get("HyperParameters")


def test_a_warm_pool_and_what_is_left_out(account: Account) -> None:
    job = account.request("train", *of_group("training", warm_pool_minutes=5, instance_type="ml.c5.xlarge"), image="")
    assert_image_of_aws(job, "-cpu-")
    assert job["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 300
    assert "VolumeKmsKeyId" not in job["ResourceConfig"]
    assert job["EnableManagedSpotTraining"] is False
    assert "MaxWaitTimeInSeconds" not in job["StoppingCondition"]
    assert "VpcConfig" not in job
    assert "KmsKeyId" not in job["OutputDataConfig"]


def test_a_processing_job(account: Account) -> None:
    sizes = of_group("processing", instance_type="ml.m5.2xlarge", volume_gb=88, max_minutes=33)
    job = account.request("evaluate", *PLACE, *sizes)
    assert job["RoleArn"] == ROLE
    assert job["AppSpecification"]["ImageUri"] == NOWHERE
    assert job["ProcessingResources"]["ClusterConfig"] == {
        "InstanceType": "ml.m5.2xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 88,
        "VolumeKmsKeyId": KEY,
    }
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 1980}
    network = job["NetworkConfig"]
    assert network["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}
    assert network["EnableInterContainerTrafficEncryption"] is True
    assert account.tags(job["ProcessingJobArn"]) == TAGS | account.whose


SPARK = ["compute.engine.preprocess=spark", "compute.sagemaker.install=image"]


def test_a_job_of_spark(account: Account) -> None:
    """As PySparkProcessor asks for it: AWS's program begins the cluster, and hands launch.py to spark-submit."""
    sizes = of_group("spark", instance_type="ml.m5.4xlarge", instance_count=3, volume_gb=99, max_minutes=44)
    job = account.request("preprocess", *PLACE, *SPARK, *sizes, *of_group("spark", image=f"'{NOWHERE}'"))
    assert job["AppSpecification"] == {
        "ImageUri": NOWHERE,
        "ContainerEntrypoint": ["smspark-submit", "/opt/ml/processing/input/code/launch.py"],
        "ContainerArguments": ["/opt/ml/processing/input/project"],
    }
    assert job["ProcessingResources"]["ClusterConfig"] == {
        "InstanceType": "ml.m5.4xlarge",
        "InstanceCount": 3,
        "VolumeSizeInGB": 99,
        "VolumeKmsKeyId": KEY,
    }
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 2640}
    assert job["NetworkConfig"]["EnableInterContainerTrafficEncryption"] is True
    assert account.tags(job["ProcessingJobArn"]) == TAGS | account.whose
    given = {item["InputName"]: item["S3Input"]["S3Uri"] for item in job["ProcessingInputs"]}
    spec = json.loads(account.read(f"{given['project']}/job_spec.json"))
    assert spec["spark"]["master"] == "yarn"
    assert spec["spark"]["shared"] == "s3://the-jobs/traceable-digits/spark"
    assert spec["spark"]["instances"] == 3
    assert "\npyspark==" in account.read(f"{given['project']}/requirements.lock")


def test_the_image_of_aws_for_spark(account: Account) -> None:
    project = account.project
    project.compose(
        "compute=sagemaker",
        "callbacks=none",
        f"compute.sagemaker.role={ROLE}",
        "compute.sagemaker.bucket=the-jobs",
        "compute.engine.preprocess=spark",
    )
    output = project.dvc("repro", "--force", "--single-item", "--no-run-cache", "preprocess", code=255)
    (reason,) = (line for line in output.splitlines() if "Cannot pull the image" in line)
    assert "sagemaker-spark-processing:3.5-cpu-py312" in reason


def test_the_image_of_aws_for_gpus(account: Account) -> None:
    job = account.request("train", *of_group("training", instance_type="ml.g5.xlarge"), image="")
    assert_image_of_aws(job, "-gpu-")


def assert_image_of_aws(job: dict[str, Any], word: str) -> None:
    """Without one in the settings, the SDK names AWS's own: for processors or for GPUs."""
    image = job["AlgorithmSpecification"]["TrainingImage"]
    assert "pytorch-training" in image
    assert word in image


def test_instances_that_would_have_nothing_to_do(account: Account) -> None:
    places = [f"compute.sagemaker.{key}={value}" for key, value in {"role": ROLE, "bucket": "the-jobs"}.items()]
    several = ["train.processes=3", *of_group("training", instance_count=2)]
    account.project.compose("compute=sagemaker", "callbacks=none", *places, *several)
    output = account.project.dvc("repro", "--force", "--single-item", "--no-run-cache", "train", code=255)
    assert "compute.sagemaker.training.instance_count is 2, and train.processes is 3" in output
    assert "Set train.processes to a multiple of 2" in output


REFUSED = [
    (of_group("training", spot="true", max_minutes=90, max_wait_minutes=60), "max_wait_minutes must not be less"),
    (of_group("training", spot="true", warm_pool_minutes=5), "warm_pool_minutes must be 0 with spot"),
    (of_group("training", instance_type="large"), "instance_type"),
    (of_group("processing", instance_count=2), "processing.instance_count"),
    (of_group("spark", instance_count=2), "install must be image where spark.instance_count is more than 1"),
    (["compute.sagemaker.role=admin"], "compute.sagemaker.role"),
    (["compute.train=moon"], "compute.train"),
]


@pytest.mark.parametrize(("overrides", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_settings_that_the_service_would_refuse(overrides: list[str], said: str, account: Account) -> None:
    output = account.project.run("lineage", "compose", "compute=sagemaker", *overrides, code=None)
    output += account.project.dvc("repro", "--single-item", "--force", "config", code=None)
    assert said in output
    assert "Traceback" not in output
