"""Training jobs: of ModelTrainer, on instances that may be taken away or kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...base.errors import DispatchError
from ...base.translated import translate_errors
from .aws import Aws
from .checkpoints import FOLDER
from .jobs import Job, Order
from .warm_pools import pool_of


class TrainingJob(Job):
    """A job of ModelTrainer."""

    kind = "Training"

    def _describe(self, client: Any) -> dict[str, Any]:
        return dict(client.describe_training_job(TrainingJobName=self.name))

    def _stop(self, client: Any) -> None:
        client.stop_training_job(TrainingJobName=self.name)

    @staticmethod
    def names(client: Any, base: str) -> list[str]:
        found = client.list_training_jobs(NameContains=base)["TrainingJobSummaries"]
        return [str(summary["TrainingJobName"]) for summary in found]

    @classmethod
    def start(cls, aws: Aws, base: str, folder: Path, checkpoints: str | None = None) -> TrainingJob:
        """Starts launch.py, which lies in `folder` with all that it needs, in a Training job.

        Its checkpoints are kept at the S3 address `checkpoints`.
        """
        wanted = aws.settings.training
        with translate_errors(DispatchError, "could not start a Training job"):
            trainer = cls.trainer(aws, Order(aws.sagemaker_session(), base, folder, checkpoints=checkpoints))
            trainer.train(wait=False, logs=False)
        # private, and the only way to learn the name: the SDK's version is pinned
        name = trainer._latest_training_job.training_job_name
        return cls(aws, name, aws.image(wanted.instance_type), wanted.instance_type)

    @staticmethod
    def trainer(aws: Aws, order: Order) -> Any:
        """What the SDK asks for a Training job with."""
        from sagemaker.core.shapes import OutputDataConfig, StoppingCondition, Tag
        from sagemaker.train import ModelTrainer
        from sagemaker.train.configs import CheckpointConfig, Compute, Networking, SourceCode

        settings, wanted = aws.settings, aws.settings.training
        image = aws.image(wanted.instance_type)
        seconds = {"max_runtime_in_seconds": wanted.max_minutes * 60}
        if wanted.spot:
            seconds["max_wait_time_in_seconds"] = wanted.max_wait_minutes * 60
        output = {"kms_key_id": settings.kms.output} if settings.kms.output else {}
        compute: dict[str, Any] = {
            "instance_type": order.instance_type or wanted.instance_type,
            "instance_count": wanted.instance_count,
            "volume_size_in_gb": wanted.volume_gb,
            "enable_managed_spot_training": wanted.spot,
        }
        if settings.kms.volume:
            compute["volume_kms_key_id"] = settings.kms.volume
        if wanted.warm_pool_minutes:
            compute["keep_alive_period_in_seconds"] = wanted.warm_pool_minutes * 60
        network = settings.network
        networking = (
            Networking(
                subnets=network.subnets,
                security_group_ids=network.security_groups,
                enable_inter_container_traffic_encryption=network.encrypt_between_instances,
            )
            if network.subnets
            else None
        )
        return ModelTrainer(
            sagemaker_session=order.session,
            role=settings.role,
            base_job_name=order.base,
            training_image=image,
            # exec: else SIGTERM, before an instance is taken away, reaches the shell alone
            source_code=SourceCode(source_dir=str(order.folder), command="exec python3 launch.py ."),
            compute=Compute(**compute),
            stopping_condition=StoppingCondition(**seconds),
            output_data_config=OutputDataConfig(s3_output_path=aws.address("output"), **output),
            networking=networking,
            checkpoint_config=CheckpointConfig(s3_uri=order.checkpoints, local_path=FOLDER)
            if order.checkpoints
            else None,
            tags=[Tag(key=key, value=value) for key, value in aws.tags.items()],
            **({"environment": order.environment} if order.environment else {}),
        )

    @property
    def instances(self) -> int:
        return int((self.seen.get("ResourceConfig") or {}).get("InstanceCount") or 1)

    def billable_seconds(self) -> int | None:
        return self.seen.get("BillableTimeInSeconds")

    @property
    def interruptions(self) -> int:
        passed = self.seen.get("SecondaryStatusTransitions") or []
        return sum(state.get("Status") == "Interrupted" for state in passed)

    def more_facts(self) -> dict[str, str]:
        facts: dict[str, str] = {}
        if pool := pool_of(self.seen):
            facts = {"sagemaker_warm_pool": pool.status, "sagemaker_warm_pool_minutes": str(pool.minutes)}
        if self.seen.get("EnableManagedSpotTraining"):
            facts |= {"sagemaker_spot": "true", "sagemaker_interruptions": str(self.interruptions)}
            worked = self.seen.get("TrainingTimeInSeconds")
            facts |= {} if worked is None else {"sagemaker_training_seconds": str(worked)}
        return facts

    @property
    def aftermath(self) -> str:
        pool = pool_of(self.seen)
        if pool is None or pool.status in ("Terminated", "Reused"):
            return ""
        return f"{pool.text}. `lineage aws warm-pools --end` gives them back."
