"""The stand-in's IAM: what its evaluation of policies allows and refuses, by the rules that AWS documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_standin.needs import Needs
from aws_standin.policy import Need, is_allowed, trusts

JOB = "arn:aws:sagemaker:eu-central-1:123456789012:training-job/digits-train-1"
OWN = {"StringEquals": {"aws:ResourceTag/lineage:project_id": "p1"}}


def statement(**more: Any) -> dict[str, Any]:
    return {"Sid": "S", "Effect": "Allow", "Action": "sagemaker:Describe*", "Resource": "*", **more}


ALLOWED = [
    statement(),
    statement(Action="SAGEMAKER:describetrainingjob"),
    statement(Resource=JOB),
    statement(Resource="arn:aws:sagemaker:*:123456789012:training-job/digits-*"),
    statement(Resource=["arn:aws:s3:::x", JOB.replace("-1", "-?")]),
    statement(Condition=OWN),
    statement(Condition={"StringLike": {"aws:ResourceTag/lineage:project_id": ["x", "p*"]}}),
    statement(Condition={"Null": {"aws:ResourceTag/lineage:project_id": "false"}}),
    statement(Condition={"StringEqualsIfExists": {"aws:nothing": "x"}}),
    statement(Condition={"StringNotEquals": {"aws:nothing": "x"}}),
]
REFUSED = [
    statement(Action="sagemaker:Describe"),
    statement(Action="sagemaker:CreateTrainingJob"),
    statement(Resource=JOB.upper()),
    statement(Resource=JOB[:-1]),
    statement(Resource=JOB.replace("-train", ".train")),
    statement(Resource="arn:aws:sagemaker:eu-central-1:123456789012:processing-job/*"),
    statement(Condition={"StringEquals": {"aws:ResourceTag/lineage:project_id": "p2"}}),
    statement(Condition={**OWN, "Bool": {"aws:SecureTransport": "true"}}),
    statement(Condition={"Null": {"aws:ResourceTag/lineage:project_id": "true"}}),
    statement(Principal={"Service": "cloudtrail.amazonaws.com"}),
]
NEED = Need("sagemaker:DescribeTrainingJob", JOB, {"aws:ResourceTag/lineage:project_id": "p1"})


@pytest.mark.parametrize("allows", ALLOWED)
def test_what_a_statement_allows(allows: dict[str, Any]) -> None:
    assert is_allowed(NEED, [{"Statement": [allows]}])
    assert not is_allowed(NEED, [{"Statement": [allows, statement(Effect="Deny")]}])
    assert not is_allowed(NEED, [{"Statement": allows}], [{"Statement": statement(Effect="Deny")}])


@pytest.mark.parametrize("refuses", REFUSED)
def test_what_it_does_not(refuses: dict[str, Any]) -> None:
    assert not is_allowed(NEED, [{"Statement": [refuses]}])


def test_without_a_policy_nothing_is_allowed() -> None:
    assert not is_allowed(NEED, [])


@pytest.mark.parametrize(
    "unknown", [{"NotAction": "x"}, {"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2026"}}}]
)
def test_what_it_does_not_know_is_no_permission(unknown: dict[str, Any]) -> None:
    context = {"aws:CurrentTime": "2027"}
    with pytest.raises(ValueError, match="is not known here"):
        is_allowed(Need(NEED.action, NEED.resource, context), [{"Statement": statement(**unknown)}])


def test_a_trust_policy_is_for_the_service_that_it_names() -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    assert trusts({"Statement": trust}, "sagemaker.amazonaws.com", {})
    assert not trusts({"Statement": trust}, "events.amazonaws.com", {})


def request(method: str, path: str, query: str = "", **headers: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **headers}


def asked(service: str, environ: dict[str, Any], body: bytes = b"") -> list[tuple[str, str]]:
    keys = {"secret": "arn:aws:kms:eu-central-1:123456789012:key/1"}
    needs = Needs("123456789012", "eu-central-1", keys.get, lambda _, key: key != "absent", lambda _: {})
    return [(need.action, need.resource) for need in needs.of(service, environ, body)]


S3 = "arn:aws:s3:::"


@pytest.mark.parametrize(
    ("environ", "needs"),
    [
        (request("HEAD", "/b"), ["s3:ListBucket b"]),
        (request("GET", "/b", "list-type=2&prefix=x"), ["s3:ListBucket b"]),
        (request("GET", "/b", "versions&prefix=x"), ["s3:ListBucketVersions b"]),
        (request("GET", "/b/a%20b"), ["s3:GetObject b/a b"]),
        (request("HEAD", "/b/absent"), ["s3:GetObject b/absent", "s3:ListBucket b"]),
        (request("GET", "/b/k", "versionId=1"), ["s3:GetObjectVersion b/k"]),
        (request("DELETE", "/b/k", "versionId=1"), ["s3:DeleteObjectVersion b/k"]),
        (request("PUT", "/b/k"), ["s3:PutObject b/k"]),
        (request("PUT", "/b/k", HTTP_X_AMZ_COPY_SOURCE="/o/j"), ["s3:GetObject o/j", "s3:PutObject b/k"]),
    ],
)
def test_what_requests_to_s3_need(environ: dict[str, Any], needs: list[str]) -> None:
    assert asked("s3", environ) == [tuple(need.replace(" ", f" {S3}", 1).split(" ", 1)) for need in needs]


def test_a_bucket_with_a_key_needs_its_use() -> None:
    assert [need[0] for need in asked("s3", request("GET", "/secret/k"))] == ["s3:GetObject", "kms:Decrypt"]
    assert [need[0] for need in asked("s3", request("PUT", "/secret/k"))] == ["s3:PutObject", "kms:GenerateDataKey"]
    parts = asked("s3", request("POST", "/secret/k", "uploadId=1"))
    assert [need[0] for need in parts] == ["s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt"]


def test_a_job_needs_its_tags_and_its_role() -> None:
    body = b'{"TrainingJobName": "Digits-1", "RoleArn": "arn:aws:iam::1:role/j", "Tags": [{"Key": "a", "Value": "b"}]}'
    found = asked("sagemaker", request("POST", "/", HTTP_X_AMZ_TARGET="SageMaker.CreateTrainingJob"), body)
    job = "arn:aws:sagemaker:eu-central-1:123456789012:training-job/digits-1"
    wanted = [
        ("sagemaker:CreateTrainingJob", job),
        ("sagemaker:AddTags", job),
        ("iam:PassRole", "arn:aws:iam::1:role/j"),
    ]
    assert found == wanted


def test_an_endpoint_is_asked_by_its_address() -> None:
    found = asked("sagemaker", request("POST", "/endpoints/Digits/invocations"), b"\x89PNG")
    assert found == [("sagemaker:InvokeEndpoint", "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/digits")]


def test_an_mlflow_app_is_named_by_its_arn() -> None:
    app = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-1"
    for action in ("DescribeMlflowApp", "DeleteMlflowApp"):
        environ = request("POST", "/", HTTP_X_AMZ_TARGET=f"SageMaker.{action}")
        assert asked("sagemaker", environ, json.dumps({"Arn": app}).encode()) == [(f"sagemaker:{action}", app)]
    environ = request("POST", "/", HTTP_X_AMZ_TARGET="SageMaker.CreateMlflowApp")
    made = asked("sagemaker", environ, b'{"Name": "x", "RoleArn": "arn:aws:iam::1:role/m"}')
    assert made[0] == ("sagemaker:CreateMlflowApp", app.replace("app-1", "*"))
    assert made[1] == ("iam:PassRole", "arn:aws:iam::1:role/m")


def test_a_call_that_is_not_known_here_is_not_taken_for_one_that_needs_nothing() -> None:
    with pytest.raises(KeyError):
        asked("dynamodb", request("POST", "/", HTTP_X_AMZ_TARGET="DynamoDB_20120810.GetItem"), b"{}")
    with pytest.raises(KeyError):
        asked("s3", request("PUT", "/b", "acl=x&policy"))
