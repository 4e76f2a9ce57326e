"""What a project and others have left in an account, for `lineage aws cleanup` to find."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from governed import Governed

ROLE = "arn:aws:iam::123456789012:role/traceable-digits-endpoint"
GROUP = "traceable-digits-"


def leave(running: Governed) -> None:
    """What serves and served: of this project, of another one, and of nobody; by an administrator."""
    client = running.client("sagemaker")
    ours = [{"Key": "lineage:project_id", "Value": running.project.params["project_id"]}]
    others = [{"Key": "lineage:project_id", "Value": "p-of-others"}]
    archive = f"s3://{running.infrastructure.outputs()['JobsBucketName']}/traceable-digits/serving/%s/model.tar.gz"
    for name, tags in (("serves", ours), ("served", ours), ("of-others", others), ("of-nobody", [])):
        container = {"Image": "1.dkr.ecr/x:1", "ModelDataUrl": archive % name}
        bucket, _, key = str(container["ModelDataUrl"]).removeprefix("s3://").partition("/")
        whose = {"lineage-project-id": tags[0]["Value"]} if tags else {}
        running.client("s3").put_object(Bucket=bucket, Key=key, Body=b"weights", Metadata=whose)
        for number in "12":  # of a definition that is there, and of one that was before it
            code = f"traceable-digits/pipelines/code/{name}-{number}/launch.py"
            running.client("s3").put_object(Bucket=bucket, Key=code, Body=b"code", Metadata=whose)
        client.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, Tags=tags)
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        variants = [{**variant, "InitialInstanceCount": 2, "InitialVariantWeight": 1.0}]
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, Tags=tags)
        client.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)
        # there is no such image
        _wait(client.describe_endpoint, "EndpointStatus", "Failed", EndpointName=name)
        pipeline = {
            "PipelineDefinition": json.dumps(
                {"Version": "2020-12-01", "Steps": [], "Metadata": {"code": f"s3://{bucket}/{code}"}}
            ),
            "RoleArn": ROLE,
            "PipelineDisplayName": name,
            "ClientRequestToken": "t" * 32,
        }
        client.create_pipeline(PipelineName=name, Tags=tags, **pipeline)
        client.create_model_package_group(ModelPackageGroupName=GROUP + name, Tags=tags)
    client.create_model(ModelName="alone", PrimaryContainer=container, ExecutionRoleArn=ROLE, Tags=ours)
    began = client.start_pipeline_execution(PipelineName="serves", ClientRequestToken="t" * 32)
    arn = began["PipelineExecutionArn"]
    _wait(client.describe_pipeline_execution, "PipelineExecutionStatus", "Succeeded", PipelineExecutionArn=arn)
    identity = running.project.lineage["model"]["identity"]
    for group, known, status in (
        ("serves", identity, "PendingManualApproval"),
        ("serves", "0" * 64, "Approved"),
        ("serves", "0" * 64, "Rejected"),
        ("served", "0" * 64, "Rejected"),
        ("of-others", "0" * 64, "Rejected"),
    ):
        client.create_model_package(
            ModelPackageGroupName=GROUP + group,
            ModelApprovalStatus=status,
            CustomerMetadataProperties={"model_identity": known},
        )
    running.project.store(running.tracking).client.set_model_version_tag("traceable-digits", "1", "endpoint", "serves")


def _wait(describe: Callable[..., dict[str, Any]], key: str, wanted: str, **what: str) -> None:
    deadline = time.monotonic() + 30
    while describe(**what)[key] != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks at the condition


def everything(account: Governed) -> dict[str, set[str]]:
    """What is in the account, whoever it belongs to."""
    client = account.client("sagemaker")
    outputs = account.infrastructure.outputs()
    buckets = [outputs["JobsBucketName"], outputs["DvcRemote"].split("/")[2], outputs["ArtifactsAddress"].split("/")[2]]
    return {
        "endpoint": {one["EndpointName"] for one in client.list_endpoints()["Endpoints"]},
        "config": {one["EndpointConfigName"] for one in client.list_endpoint_configs()["EndpointConfigs"]},
        "model": {one["ModelName"] for one in client.list_models()["Models"]},
        "pipeline": {one["PipelineName"] for one in client.list_pipelines()["PipelineSummaries"]},
        "group": {
            one["ModelPackageGroupName"].removeprefix(GROUP)
            for one in client.list_model_package_groups()["ModelPackageGroupSummaryList"]
        },
        **{bucket.split("-")[-2]: set(account.objects(bucket)) for bucket in buckets},
    }
