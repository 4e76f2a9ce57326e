"""Calls of the Model Registry that moto lacks."""

from __future__ import annotations

from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends

CALLS = ("DeleteModelPackage", "DeleteModelPackageGroup")


def answer(action: str, request: dict[str, Any], region: str) -> tuple[str, dict[str, Any]]:
    """Status and answer of a call."""
    backend = sagemaker_backends[DEFAULT_ACCOUNT_ID][region]
    if action == "DeleteModelPackage":
        found = backend.model_packages.pop(request["ModelPackageName"], None)
    else:
        name = request["ModelPackageGroupName"]
        if any(package.model_package_group_name == name for package in backend.model_packages.values()):
            return "400 Bad Request", {"__type": "ConflictException", "message": f"{name} has model packages."}
        found = backend.model_package_groups.pop(name, None)
    if found is None:
        return "400 Bad Request", {"__type": "ValidationException", "message": "Could not find it."}
    return "200 OK", {}
