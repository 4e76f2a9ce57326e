"""Packages of the Model Registry, MLflow apps, pipelines."""

from __future__ import annotations

from typing import Any

from ..base.errors import DispatchError
from ..base.translated import translate_errors
from .evidence import Needed
from .found import Found
from .left import Left, young

IDENTITY = "model_identity"
OF_APPS = "it holds runs and versions, which evidence needs"
GOING_ON = "executions that go on"
BILLED = "billed while it is there"


def packages(found: Found, needed: Needed, days: float) -> tuple[list[Left], frozenset[str]]:
    """The packages in the groups of this project, and the groups; the addresses that packages which stay name."""
    left, files = [], set[str]()
    for group in found.names["model-package-group"]:
        said = found.described("model-package-group", "describe_model_package_group", ModelPackageGroupName=group)
        if said is None:
            continue
        own = []
        for summary in _listed(found, group):
            package, addresses = _package(found, needed, summary, days)
            own.append(package)
            files |= set() if package.goes else set(addresses)
        stays = sum(not package.goes for package in own)
        kept = found.kept_by_stack("model-package-group", group) or (f"{stays} of its packages stay" if stays else "")
        kept = kept or young(said.get("CreationTime"), days)
        left += [*own, Left("model-package-group", group, "nothing", kept, found.arns["model-package-group", group])]
    return left, frozenset(files)


def _listed(found: Found, group: str) -> list[dict[str, Any]]:
    with translate_errors(DispatchError, f"could not list the packages of {group}"):
        pages = found.aws.client("sagemaker").get_paginator("list_model_packages")
        return [
            summary
            for page in pages.paginate(ModelPackageGroupName=group)
            for summary in page["ModelPackageSummaryList"]
        ]


def _package(found: Found, needed: Needed, summary: dict[str, Any], days: float) -> tuple[Left, list[str]]:
    """A package, and the addresses in S3 that it names."""
    arn = str(summary["ModelPackageArn"])
    said = found.described("model-package", "describe_model_package", ModelPackageName=arn) or {}
    if said.get("ModelApprovalStatus") == "Approved":
        kept = "it is approved"
    else:
        changed = said.get("LastModifiedTime") or said.get("CreationTime")
        kept = needed.package((said.get("CustomerMetadataProperties") or {}).get(IDENTITY))
        kept = kept or young(changed, days, "it was made or changed")
    containers = (said.get("InferenceSpecification") or {}).get("Containers") or []
    quality = (said.get("ModelMetrics") or {}).get("ModelQuality") or {}
    addresses = [str(each.get("ModelDataUrl") or "") for each in containers]
    addresses.append(str((quality.get("Statistics") or {}).get("S3Uri") or ""))
    return Left("model-package", arn.partition("/")[2], "nothing", kept, arn), addresses


def apps(found: Found) -> list[Left]:
    """MLflow on SageMaker."""
    return [
        Left(kind, name, BILLED, found.kept_by_stack(kind, name) or OF_APPS, found.arns[kind, name], usd_month=None)
        for kind in ("mlflow-app", "mlflow-tracking-server")
        for name in found.names[kind]
    ]


def pipelines(found: Found, days: float) -> tuple[list[Left], str]:
    """Pipelines, and the definitions of those that stay. With one goes the history of its executions, which says how
    models were made."""
    left, definitions = [], ""
    for name in found.names["pipeline"]:
        said = found.described("pipeline", "describe_pipeline", PipelineName=name)
        if said is not None:
            changed = said.get("LastModifiedTime") or said.get("CreationTime")
            kept = found.kept_by_stack("pipeline", name) or _history(found, name)
            kept = kept or young(changed, days, "it was made or changed")
            left.append(Left("pipeline", str(said["PipelineName"]), "nothing", kept, str(said["PipelineArn"])))
            definitions += str(said.get("PipelineDefinition") or "") if kept else ""
    return left, definitions


def _history(found: Found, name: str) -> str:
    with translate_errors(DispatchError, f"could not list the executions of {name}"):
        pages = found.aws.client("sagemaker").get_paginator("list_pipeline_executions").paginate(PipelineName=name)
        states = [str(one["PipelineExecutionStatus"]) for page in pages for one in page["PipelineExecutionSummaries"]]
    if going_on := sum(state in ("Executing", "Stopping") for state in states):
        return f"{GOING_ON}: {going_on}"
    ended_well = states.count("Succeeded")
    return f"executions that ended well, and may have made a model: {ended_well}" if ended_well else ""
