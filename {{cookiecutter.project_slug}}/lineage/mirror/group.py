"""The group of this project in SageMaker's Model Registry: what it is called, whose it is, the packages in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..base.errors import MirrorError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.settings import SageMakerSettings
from ..compute.sagemaker.tags import PROJECT_TAG, as_tags, tag_value
from ..settings.params import Settings

MARK = "lineage:mirrors"  # tag of a group that was made here: the registered model whose versions are in it
LONGEST = 63  # characters of a name
OF_APPS = re.compile(r"[0-9a-f]{6}")  # what an MLflow app puts behind the name of a model, for the group that it writes


def group_name(settings: Settings, section: SageMakerSettings) -> str:
    """That of compute.sagemaker.registry.group, or the name of the model with the first letters of the project's id.

    Raises MirrorError for a name that an MLflow app of SageMaker's would write into by itself.
    """
    model = settings.tracking.model_name
    readable = re.sub(r"[^A-Za-z0-9]+", "-", model).strip("-") or "model"
    suffix = re.sub(r"[^A-Za-z0-9]+", "", settings.project_id)[:8]
    name = section.registry.group or f"{readable[: LONGEST - len(suffix) - 1].rstrip('-')}-{suffix}"
    for begin in {model, readable}:
        if name.startswith(f"{begin}-") and OF_APPS.fullmatch(name.removeprefix(f"{begin}-")):
            raise MirrorError(
                f"{name} is the kind of name that an MLflow app of SageMaker's gives to the group that it writes by "
                "itself. Set compute.sagemaker.registry.group to another one."
            )
    return name


@dataclass(frozen=True)
class Package:
    """A version in the Model Registry, as AWS describes it."""

    arn: str
    status: str  # ModelApprovalStatus
    description: str  # of that status
    metadata: dict[str, str]  # CustomerMetadataProperties
    containers: list[dict[str, Any]]  # of all its inference specifications


class Group:
    """One group. Raises MirrorError whatever AWS or the network say, and for a group that was not made here."""

    def __init__(self, aws: Aws, name: str, project_id: str, model: str) -> None:
        self._aws, self.name, self._project, self._model = aws, name, project_id, model

    @property
    def _client(self) -> Any:
        return self._aws.client("sagemaker")

    @cached_property
    def is_there(self) -> bool:
        """Whether the group exists. Raises MirrorError if it is not that of this model of this project."""
        from botocore.exceptions import ClientError

        with translate_errors(MirrorError, f"could not look at the group {self.name} of the Model Registry"):
            try:
                found = self._client.describe_model_package_group(ModelPackageGroupName=self.name)
            except ClientError as error:
                code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "").lower()
                if code == "ResourceNotFound" or (code.startswith("Validation") and "does not exist" in text):
                    return False
                raise
            pages = self._client.get_paginator("list_tags").paginate(ResourceArn=found["ModelPackageGroupArn"])
            tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        if (tags.get(PROJECT_TAG), tags.get(MARK)) != (self._project, tag_value(self._model)):
            raise MirrorError(
                f"the group {self.name} of the Model Registry was not made by `lineage aws registry` for {self._model} "
                "of this project, so nothing is written into it: an MLflow app, or somebody else, may. Set "
                "compute.sagemaker.registry.group to another name."
            )
        return True

    def make(self) -> None:
        """Makes the group."""
        tags = as_tags({**self._aws.tags, MARK: self._model})
        text = described(f"Versions of {self._model} of project {self._project}, copied from MLflow and Git by lineage")
        with translate_errors(MirrorError, f"could not make the group {self.name} of the Model Registry"):
            self._client.create_model_package_group(
                ModelPackageGroupName=self.name, ModelPackageGroupDescription=text, Tags=tags
            )
        self.__dict__["is_there"] = True

    def packages(self) -> list[Package]:
        """Every package in it, oldest first, whoever made it."""
        if not self.is_there:
            return []
        with translate_errors(MirrorError, f"could not list the packages of {self.name}"):
            return [self.look(str(summary["ModelPackageArn"])) for summary in self._summaries()]

    def _summaries(self) -> Iterator[dict[str, Any]]:
        asked = {"ModelPackageGroupName": self.name, "SortBy": "CreationTime", "SortOrder": "Ascending"}
        for page in self._client.get_paginator("list_model_packages").paginate(**asked):
            yield from page["ModelPackageSummaryList"]

    def look(self, arn: str) -> Package:
        """A package as it is now."""
        with translate_errors(MirrorError, f"could not look at {arn}"):
            said = self._client.describe_model_package(ModelPackageName=arn)
        serves = [said.get("InferenceSpecification") or {}, *(said.get("AdditionalInferenceSpecifications") or [])]
        return Package(
            arn=arn,
            status=str(said.get("ModelApprovalStatus") or "PendingManualApproval"),
            description=str(said.get("ApprovalDescription") or ""),
            metadata=dict(said.get("CustomerMetadataProperties") or {}),
            containers=[each for one in serves for each in one.get("Containers") or []],
        )

    def create(self, request: dict[str, Any]) -> str:
        """Makes a package. Returns its ARN."""
        with translate_errors(MirrorError, f"could not make a package in {self.name}"):
            return str(self._client.create_model_package(ModelPackageGroupName=self.name, **request)["ModelPackageArn"])

    def update(self, arn: str, **changes: Any) -> None:
        """Changes a package."""
        with translate_errors(MirrorError, f"could not change {arn}"):
            self._client.update_model_package(ModelPackageArn=arn, **changes)


def described(text: str) -> str:
    """As one line, no longer than a description may be."""
    return " ".join(text.split())[:1024]
