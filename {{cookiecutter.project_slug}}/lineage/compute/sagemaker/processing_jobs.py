"""Processing jobs: of a program, and of Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...base.errors import DispatchError
from ...base.translated import translate_errors
from .aws import Aws
from .jobs import Job, Order
from .launch import PROJECT
from .settings import ProcessingInstances, SparkInstances

PROJECT_INPUT = "/opt/ml/processing/input/project"
LAUNCH = "launch.py"


class ProcessingJob(Job):
    """A job of ScriptProcessor."""

    kind = "Processing"
    called = "Processing job"

    def _describe(self, client: Any) -> dict[str, Any]:
        return dict(client.describe_processing_job(ProcessingJobName=self.name))

    def _stop(self, client: Any) -> None:
        client.stop_processing_job(ProcessingJobName=self.name)

    @staticmethod
    def names(client: Any, base: str) -> list[str]:
        found = client.list_processing_jobs(NameContains=base)["ProcessingJobSummaries"]
        return [str(summary["ProcessingJobName"]) for summary in found]

    @classmethod
    def start(cls, aws: Aws, base: str, folder: Path) -> ProcessingJob:
        """Starts launch.py, which lies in `folder` with all that it needs, in a job of this kind."""
        image, instance_type = cls.place(aws)
        address = aws.upload(folder)
        with translate_errors(DispatchError, f"could not start a {cls.called}"):
            processor, given = cls.processor(aws, Order(aws.sagemaker_session(), base, folder, address))
            processor.run(**given)
        return cls(aws, processor.latest_job.processing_job_name, image, instance_type)

    @staticmethod
    def place(aws: Aws) -> tuple[str, str]:
        """Image and instance type of the settings."""
        wanted = aws.settings.processing
        return aws.image(wanted.instance_type), wanted.instance_type

    @classmethod
    def processor(cls, aws: Aws, order: Order) -> tuple[Any, dict[str, Any]]:
        """What the SDK asks for such a job with, and the arguments of its `run`."""
        from sagemaker.core.processing import ScriptProcessor

        options = processor_options(aws, aws.settings.processing, order)
        processor = ScriptProcessor(image_uri=cls.place(aws)[0], command=["python3"], **options)
        return processor, {"code": f"{order.address}/{LAUNCH}", **_project(order)}

    @property
    def instances(self) -> int:
        cluster = (self.seen.get("ProcessingResources") or {}).get("ClusterConfig") or {}
        return int(cluster.get("InstanceCount") or 1)

    def billable_seconds(self) -> int | None:
        begun, ended = self.seen.get("ProcessingStartTime"), self.seen.get("ProcessingEndTime")
        return int((ended - begun).total_seconds()) + 1 if begun and ended else None


class SparkJob(ProcessingJob):
    """A job of PySparkProcessor, whose image starts a cluster of its instances, and launch.py on the first."""

    called = "Processing job with Spark"

    @staticmethod
    def place(aws: Aws) -> tuple[str, str]:
        wanted = aws.settings.spark
        return wanted.image or aws.spark_image(wanted.instance_type), wanted.instance_type

    @classmethod
    def processor(cls, aws: Aws, order: Order) -> tuple[Any, dict[str, Any]]:
        from sagemaker.core.spark.processing import PySparkProcessor

        options = processor_options(aws, aws.settings.spark, order)
        processor = PySparkProcessor(image_uri=cls.place(aws)[0], **options)
        return processor, {"submit_app": f"{order.address}/{LAUNCH}", **_project(order)}


def processor_options(aws: Aws, wanted: ProcessingInstances | SparkInstances, order: Order) -> dict[str, Any]:
    """What every processor of the SDK is made with."""
    from sagemaker.core.network import NetworkConfig
    from sagemaker.core.shapes import Tag

    settings, network = aws.settings, aws.settings.network
    return {
        "sagemaker_session": order.session,
        "role": settings.role,
        "base_job_name": order.base,
        "instance_type": order.instance_type or wanted.instance_type,
        "instance_count": wanted.instance_count,
        "volume_size_in_gb": wanted.volume_gb,
        "max_runtime_in_seconds": wanted.max_minutes * 60,
        "volume_kms_key": settings.kms.volume,
        "output_kms_key": settings.kms.output,
        "network_config": NetworkConfig(
            subnets=network.subnets,
            security_group_ids=network.security_groups,
            encrypt_inter_container_traffic=network.encrypt_between_instances,
        )
        if network.subnets
        else None,
        "tags": [Tag(key=key, value=value) for key, value in aws.tags.items()],
        **({"env": order.environment} if order.environment else {}),
    }


def _project(order: Order) -> dict[str, Any]:
    """The files of the job as an input of a processor that nobody waits for."""
    from sagemaker.core.shapes import ProcessingInput, ProcessingS3Input

    given = ProcessingS3Input(
        s3_uri=order.address, local_path=PROJECT_INPUT, s3_data_type="S3Prefix", s3_input_mode="File"
    )
    return {
        "inputs": [ProcessingInput(input_name=PROJECT, s3_input=given)],
        "arguments": [PROJECT_INPUT],
        "wait": False,
        "logs": False,
        **({"outputs": order.outputs} if order.outputs else {}),
    }
