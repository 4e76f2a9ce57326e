"""The versions in the Model Registry, in place of moto's, which forget status, card and number. Groups are moto's."""

from __future__ import annotations

import time
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends

from . import card_schema, limits
from .expressions import RefusedError

Package = dict[str, Any]
SUMMARY = (
    *("ModelPackageGroupName", "ModelPackageVersion", "ModelPackageArn", "ModelPackageDescription", "CreationTime"),
    *("ModelPackageStatus", "ModelApprovalStatus"),
)
CHANGED = ("ModelApprovalStatus", "ApprovalDescription", "InferenceSpecification", "SourceUri", "ModelLifeCycle")
PAGE = 10  # as many as the service lists where nobody asks for more


class Registry:
    """All versions of one account and region."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._base = f"arn:aws:sagemaker:{region}:{DEFAULT_ACCOUNT_ID}:model-package"
        self.packages: dict[str, Package] = {}
        self._count: dict[str, int] = {}  # of each group: the number of a version that was deleted comes never again
        self._by_token: dict[str, str] = {}

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a call; None if it is about something else. Raises RefusedError."""
        handler = getattr(self, f"_{action}", None)
        if handler is None:
            return None
        limits.check(action, request)
        return dict(handler(request) or {})

    @property
    def _groups(self) -> dict[str, Any]:
        return dict(sagemaker_backends[DEFAULT_ACCOUNT_ID][self._region].model_package_groups)

    def _require_group(self, name: str) -> str:
        last = name.rpartition("/")[2]
        if last not in self._groups:
            raise RefusedError(f"ModelPackageGroup {self._base}-group/{last} does not exist.")
        return last

    def _found(self, arn: str) -> Package:
        if arn not in self.packages:
            raise RefusedError(f"ModelPackage {arn} does not exist.")
        return self.packages[arn]

    def _CreateModelPackage(self, request: dict[str, Any]) -> Package:  # noqa: N802  the action
        if "ModelPackageGroupName" not in request:
            raise RefusedError("only versions of a group are made here")
        if "Tags" in request:
            raise RefusedError("Tags are those of the group: a version of a group takes none.")
        token = str(request.get("ClientToken"))
        if token in self._by_token:
            return {"ModelPackageArn": self._by_token[token]}
        group = self._require_group(request["ModelPackageGroupName"])
        _check_card(request)
        number = self._count[group] = self._count.get(group, 0) + 1
        arn = f"{self._base}/{group.lower()}/{number}"
        given = {key: value for key, value in request.items() if key not in ("ClientToken", "Tags")}
        self.packages[arn] = {
            **given,
            "ModelPackageGroupName": group,
            "ModelPackageVersion": number,
            "ModelPackageArn": arn,
            "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
            "CreationTime": time.time(),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": []},
        }
        self._by_token[token] = arn
        return {"ModelPackageArn": arn}

    def _DescribeModelPackage(self, request: dict[str, Any]) -> Package:  # noqa: N802
        return self._found(request["ModelPackageName"])

    def _UpdateModelPackage(self, request: dict[str, Any]) -> Package:  # noqa: N802
        found = self._found(request["ModelPackageArn"])
        _check_card(request)
        given = request.get("CustomerMetadataProperties") or {}
        known = {**(found.get("CustomerMetadataProperties") or {}), **given}
        for key in request.get("CustomerMetadataPropertiesToRemove") or []:
            known.pop(key, None)
        if len(known) > 50:
            raise RefusedError("CustomerMetadataProperties has more than 50 entries.")
        found["CustomerMetadataProperties"] = known
        found |= {key: request[key] for key in CHANGED if key in request}
        found["ModelCard"] = {**(found.get("ModelCard") or {}), **(request.get("ModelCard") or {})}
        found["LastModifiedTime"] = time.time()
        return {"ModelPackageArn": found["ModelPackageArn"]}

    def _ListModelPackages(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        group = self._require_group(request["ModelPackageGroupName"]) if "ModelPackageGroupName" in request else None
        status = request.get("ModelApprovalStatus")
        found = [
            each
            for each in self.packages.values()
            if group in (None, each["ModelPackageGroupName"]) and status in (None, each["ModelApprovalStatus"])
        ]
        if request.get("SortOrder", "Descending") == "Descending":
            found.reverse()
        return page(
            "ModelPackageSummaryList", [{key: one[key] for key in SUMMARY if key in one} for one in found], request
        )

    def _DeleteModelPackage(self, request: dict[str, Any]) -> None:  # noqa: N802
        self._found(request["ModelPackageName"])
        del self.packages[request["ModelPackageName"]]

    def _DeleteModelPackageGroup(self, request: dict[str, Any]) -> None:  # noqa: N802
        name = self._require_group(request["ModelPackageGroupName"])
        if any(package["ModelPackageGroupName"] == name for package in self.packages.values()):
            raise RefusedError(f"{name} has model packages.")
        del sagemaker_backends[DEFAULT_ACCOUNT_ID][self._region].model_package_groups[name]


def page(key: str, found: list[dict[str, Any]], request: dict[str, Any], size: int = PAGE) -> dict[str, Any]:
    """One page of a list, and where the next begins."""
    start, most = int(request.get("NextToken") or 0), int(request.get("MaxResults") or size)
    more = {"NextToken": str(start + most)} if start + most < len(found) else {}
    return {key: found[start : start + most], **more}


def _check_card(request: dict[str, Any]) -> None:
    content = (request.get("ModelCard") or {}).get("ModelCardContent")
    if content is not None:
        card_schema.check(content)
