"""What bears the tag of this project in SageMaker, whatever made it."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Any

from ..base.denied import CODES
from ..base.errors import DispatchError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.tags import PROJECT_TAG
from .prices import Prices

UNDER_WAY = ("InProgress", "Stopping")  # of a batch transform
OF_STACKS = "aws:cloudformation:stack-name"
GONE = ("not find", "does not exist")  # how SageMaker says so, by the kind of the thing


class Found:
    """The resources of SageMaker that bear the tag, by type. Raises DispatchError where AWS refuses or is silent."""

    def __init__(self, aws: Aws, project_id: str, prices: Prices | None = None) -> None:
        self.aws = aws
        self.prices = prices or Prices()  # of nothing
        self.project_id = project_id
        self.names: dict[str, list[str]] = defaultdict(list)  # as ARNs have them, by type
        self.tags: dict[tuple[str, str], dict[str, str]] = {}  # of each
        self.arns: dict[tuple[str, str], str] = {}
        self.unseen: dict[str, list[str]] = defaultdict(list)  # by kind: what AWS shows by its tag, and not itself
        wanted = [{"Key": PROJECT_TAG, "Values": [project_id]}]
        with translate_errors(DispatchError, "could not find what bears the tag of this project"):
            pages = aws.client("resourcegroupstaggingapi").get_paginator("get_resources")
            for page in pages.paginate(TagFilters=wanted, ResourceTypeFilters=["sagemaker"]):
                for entry in page["ResourceTagMappingList"]:
                    self._note(entry["ResourceARN"], {tag["Key"]: tag["Value"] for tag in entry["Tags"]})

    def _note(self, arn: str, tags: dict[str, str]) -> None:
        kind, _, name = arn.split(":", 5)[5].partition("/")
        # the filter is the service's; what is deleted on its word is worth a second look
        if tags.get(PROJECT_TAG) != self.project_id or "/" in name:
            return
        self.names[kind].append(name)
        self.arns[kind, name] = arn
        self.tags[kind, name] = tags

    def described(self, kind: str, operation: str, **key: str) -> dict[str, Any] | None:
        """What AWS says of a resource; None if it is gone, or cannot be seen.

        Lists of tags are late: they name what was deleted minutes ago, and to roles that may see what bears the tag
        alone, AWS does not say that it is gone.
        """
        from botocore.exceptions import ClientError

        with translate_errors(DispatchError, f"could not look at the {kind} {next(iter(key.values()))}"):
            try:
                return dict(getattr(self.aws.client("sagemaker"), operation)(**key))
            except ClientError as error:
                code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "").lower()
                if code in CODES:
                    self.unseen[kind].append(next(iter(key.values())))
                    return None
                if code == "ResourceNotFound" or (code.startswith("Validation") and any(each in text for each in GONE)):
                    return None
                raise

    @cached_property
    def transforms(self) -> list[dict[str, Any]]:
        """What AWS says of each batch transform that it shows."""
        names = self.names["transform-job"]
        said = (self.described("transform-job", "describe_transform_job", TransformJobName=name) for name in names)
        return [each for each in said if each is not None]

    def kept_by_stack(self, kind: str, name: str) -> str:
        """Why a resource of a stack stays; empty if it is of none."""
        stack = self.tags.get((kind, name), {}).get(OF_STACKS)
        return f"of the CloudFormation stack {stack}: delete it with that" if stack else ""
