"""The settings of SageMaker, as conf/compute/sagemaker.yaml has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ...base.errors import SettingsError
from ...settings.compute import TARGET
from ...settings.promotion import ALIAS
from ...settings.section import Positive, Section

if TYPE_CHECKING:
    from ...settings.params import Settings

RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")]


class Instances(Section):
    instance_type: InstanceType
    volume_gb: Positive
    max_minutes: Positive


class ProcessingInstances(Instances):
    instance_count: Literal[1]  # these stages share no work between machines


class TrainingInstances(Instances):
    instance_count: Positive
    spot: bool
    max_wait_minutes: Positive
    warm_pool_minutes: Annotated[int, Field(ge=0, le=60)]

    @model_validator(mode="after")
    def _waits_long_enough(self) -> TrainingInstances:
        if self.spot and self.max_wait_minutes < self.max_minutes:
            raise ValueError("max_wait_minutes must not be less than max_minutes: it holds the waiting and the running")
        if self.spot and self.warm_pool_minutes:
            raise ValueError("warm_pool_minutes must be 0 with spot: spot instances cannot be kept")
        return self


class SparkInstances(Instances):
    image: str | None
    instance_count: Positive


class VpcSettings(Section):
    subnets: list[str]
    security_groups: list[str]
    encrypt_between_instances: bool


class Keys(Section):
    volume: str | None
    output: str | None


class GitSource(Section):
    url: str | None
    revision: str | None
    credential: str | None
    secret: str | None

    @field_validator("url")
    @classmethod
    def _can_be_kept_in_git(cls, url: str | None) -> str | None:
        # a user alone is what SSH needs, and no secret
        if url is not None and not re.fullmatch(r"(ssh://[\w.-]+@|[\w.-]+@[\w.-]+:)?[^@?#]*", url):
            raise ValueError("must hold no user, password or token: params.yaml is kept in Git")
        return url


class PipelineSettings(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,80}$")] | None
    role: RoleArn | None
    parameters: list[str]


class RegistrySettings(Section):
    group: Annotated[str, Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", max_length=63)] | None
    alias: Annotated[str, Field(pattern=rf"^{ALIAS}$")]
    follow: bool


class SageMakerSettings(Section):
    region: str | None
    role: RoleArn | None
    bucket: str | None
    prefix: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._/-]+$")]
    image: str | None
    install: Literal["lock", "image"]
    source: Literal["snapshot", "git"]
    git: GitSource
    secret: str | None
    training: TrainingInstances
    processing: ProcessingInstances
    spark: SparkInstances
    pipeline: PipelineSettings
    registry: RegistrySettings
    network: VpcSettings
    kms: Keys
    tags: dict[str, str]

    @classmethod
    def of(cls, settings: Settings) -> SageMakerSettings:
        """The section compute.sagemaker, which conf/compute/local.yaml has too. Raises SettingsError if it is gone."""
        section = settings.compute.backends.get("sagemaker")
        if section is None:
            raise SettingsError("params.yaml has no section compute.sagemaker: `lineage compose` writes it from conf/.")
        return cls.model_validate({key: value for key, value in section.items() if key != TARGET})

    @model_validator(mode="after")
    def _workers_are_as_the_driver(self) -> SageMakerSettings:
        if self.spark.instance_count > 1 and self.install != "image":
            raise ValueError(
                "install must be image where spark.instance_count is more than 1: a job installs the lock on its first "
                "instance only"
            )
        return self
