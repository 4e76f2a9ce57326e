"""Which permissions a request to AWS needs, by the service authorization reference.

https://docs.aws.amazon.com/service-authorization/latest/reference/

A request that has no entry here raises KeyError: nobody shall take it for one that needs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from .policy import Need

Request = dict[str, Any]
# the resource of a SageMaker call is named by the entry of its request that ends its own name
TYPES = {
    "TrainingJob": "training-job",
    "ProcessingJob": "processing-job",
    "TransformJob": "transform-job",
    "Model": "model",
    "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint",
    "ModelPackageGroup": "model-package-group",
    "ModelPackage": "model-package",
    "Pipeline": "pipeline",
    "MlflowApp": "mlflow-app",
    "Artifact": "artifact",
    "Action": "action",
    "Context": "context",
}
# what names a resource by its ARN
OWN = ("ResourceArn", "PipelineExecutionArn", "ModelPackageArn", "ArtifactArn", "Arn")
INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
VERB = re.compile(r"^(Create|Describe|Update|Delete|Stop|Start|Retry|List|Add|Search|Query|Get|Put|Invoke)")
GIVEN_ROLES = ("RoleArn", "ExecutionRoleArn")
# what S3 calls a request, by method and by the entry of the query that makes it another one
OF_BUCKETS = {
    ("HEAD", ""): "s3:ListBucket",
    ("GET", ""): "s3:ListBucket",
    ("GET", "versions"): "s3:ListBucketVersions",
    ("GET", "uploads"): "s3:ListBucketMultipartUploads",
    ("GET", "location"): "s3:GetBucketLocation",
    ("GET", "versioning"): "s3:GetBucketVersioning",
    ("GET", "object-lock"): "s3:GetBucketObjectLockConfiguration",
    ("PUT", ""): "s3:CreateBucket",
}
OF_OBJECTS = {
    ("HEAD", ""): "s3:GetObject",
    ("GET", ""): "s3:GetObject",
    ("HEAD", "versionId"): "s3:GetObjectVersion",
    ("GET", "versionId"): "s3:GetObjectVersion",
    ("GET", "tagging"): "s3:GetObjectTagging",
    ("GET", "uploadId"): "s3:ListMultipartUploadParts",
    ("PUT", ""): "s3:PutObject",
    ("PUT", "uploadId"): "s3:PutObject",
    ("POST", "uploads"): "s3:PutObject",
    ("POST", "uploadId"): "s3:PutObject",
    ("DELETE", ""): "s3:DeleteObject",
    ("DELETE", "versionId"): "s3:DeleteObjectVersion",
    ("DELETE", "uploadId"): "s3:AbortMultipartUpload",
}
KEY_FOR = {"s3:GetObject": "kms:Decrypt", "s3:GetObjectVersion": "kms:Decrypt", "s3:PutObject": "kms:GenerateDataKey"}
# what makes a request another one; those that no entry above has are refused
QUERIES = (
    *("versions", "uploads", "uploadId", "location", "versioning", "object-lock", "versionId", "tagging", "delete"),
    *("acl", "policy", "encryption", "lifecycle", "cors", "website", "publicAccessBlock", "ownershipControls"),
    *("retention", "legal-hold", "notification", "replication", "logging", "attributes", "select", "restore"),
)


class Needs:
    """The needs of requests in one account and region."""

    def __init__(
        self,
        account: str,
        region: str,
        key_of_bucket: Callable[[str], str | None],
        has_object: Callable[[str, str], bool],
        tags_of: Callable[[str], dict[str, str]],
    ) -> None:
        self._account = account
        self._region = region
        self._key_of_bucket = key_of_bucket  # ARN of the KMS key that a bucket encrypts with
        self._has_object = has_object
        self._tags_of = tags_of  # of a resource of SageMaker, by ARN
        self._services: dict[str, Callable[[str, Request], Iterator[Need]]] = {
            "sagemaker": self._sagemaker,
            "logs": self._logs,
            "secretsmanager": self._secrets,
            "tagging": lambda action, _: iter([Need(f"tag:{action}", "*")]),
            "events": lambda action, _: iter([Need(f"events:{action}", self._arn("events", "event-bus/default"))]),
        }

    def of(self, service: str, environ: dict[str, Any], body: bytes) -> list[Need]:
        """What a request needs; empty for what needs nothing (sts:GetCallerIdentity)."""
        if service == "s3":
            return list(self._s3(environ, body))
        if invoked := INVOCATIONS.fullmatch(environ["PATH_INFO"]):
            return list(self._sagemaker("InvokeEndpoint", {"EndpointName": invoked[1]}))
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target:
            return list(self._services[service](target.rpartition(".")[2], json.loads(body or b"{}")))
        action = parse_qs(body.decode())["Action"][0]
        return [] if (service, action) == ("sts", "GetCallerIdentity") else [Need(f"{service}:{action}", "*")]

    def _arn(self, service: str, name: str) -> str:
        return f"arn:aws:{service}:{self._region}:{self._account}:{name}"

    def _sagemaker(self, action: str, request: Request) -> Iterator[Need]:
        tags = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in request.get("Tags") or []}
        resources = list(self._resources(action, request))
        for resource in resources:
            own = {f"aws:ResourceTag/{key}": value for key, value in self._tags_of(resource).items()}
            yield Need(f"sagemaker:{action}", resource, {**own, **tags})
        if tags and action != "AddTags":
            yield Need("sagemaker:AddTags", resources[0], {**tags, "sagemaker:TaggingAction": action})
        for role in (request[key] for key in GIVEN_ROLES if request.get(key)):
            yield Need("iam:PassRole", role, {"iam:PassedToService": "sagemaker.amazonaws.com"})

    def _resources(self, action: str, request: Request) -> Iterator[str]:
        noun = VERB.sub("", action)
        own = next((request[key] for key in OWN if key in request), None)
        if own is not None:
            yield str(own)
            return
        if noun == "Association" and not action.startswith("List"):
            yield from (str(request[key]) for key in ("SourceArn", "DestinationArn"))
            return
        if noun == "Artifact" and action.startswith("Create"):  # its ARN is made by the service
            yield self._arn("sagemaker", "artifact/*")
            return
        if action in ("StartPipelineExecution", "ListPipelineExecutions"):
            noun = "Pipeline"
        elif action.startswith(("List", "Search", "Query")):
            yield "*"
            return
        if noun == "MlflowApp":  # its ARN is made by the service
            yield self._arn("sagemaker", "mlflow-app/*")
            return
        name = str(request.get(f"{noun}Name") or f"{request['ModelPackageGroupName']}/*")
        # SageMaker writes names in ARNs in small letters
        yield name if name.startswith("arn:") else self._arn("sagemaker", f"{TYPES[noun]}/{name.lower()}")
        if noun == "Endpoint" and "EndpointConfigName" in request:
            yield self._arn("sagemaker", f"endpoint-config/{request['EndpointConfigName'].lower()}")

    def _logs(self, action: str, request: Request) -> Iterator[Need]:
        if action == "DescribeLogGroups":
            yield Need(f"logs:{action}", "*")
            return
        group, stream = request["logGroupName"], request.get("logStreamName", "")
        yield Need(f"logs:{action}", self._arn("logs", f"log-group:{group}:log-stream:{stream}"))

    def _secrets(self, action: str, request: Request) -> Iterator[Need]:
        # the service ends the name with six letters of its own
        yield Need(f"secretsmanager:{action}", self._arn("secretsmanager", f"secret:{request['SecretId']}-AbCdEf"))

    def _s3(self, environ: dict[str, Any], body: bytes) -> Iterator[Need]:
        bucket, _, key = unquote(environ["PATH_INFO"].encode("latin-1").decode()).lstrip("/").partition("/")
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        special = next((name for name in QUERIES if name in query), "")
        method, of_s3 = environ["REQUEST_METHOD"], {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
        if special == "delete":  # many at once
            names = ElementTree.fromstring(body)
            for item in (item for item in names.iter() if item.tag.endswith("Object")):
                entries = {child.tag.rpartition("}")[2]: child.text or "" for child in item}
                action = "s3:DeleteObjectVersion" if "VersionId" in entries else "s3:DeleteObject"
                yield Need(action, f"arn:aws:s3:::{bucket}/{entries['Key']}", of_s3)
            return
        if not key:
            action = OF_BUCKETS[method, special] if bucket else "s3:ListAllMyBuckets"
            yield Need(action, f"arn:aws:s3:::{bucket}" if bucket else "*", of_s3)
            return
        if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
            yield from self._object("s3:GetObject", *unquote(source).lstrip("/").partition("/")[::2], of_s3, "GET")
        encryption = environ.get("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID")
        asked = {"s3:x-amz-server-side-encryption-aws-kms-key-id": encryption} if encryption else {}
        yield from self._object(OF_OBJECTS[method, special], bucket, key, {**of_s3, **asked}, method)

    def _object(self, action: str, bucket: str, key: str, context: dict[str, str], method: str) -> Iterator[Need]:
        yield Need(action, f"arn:aws:s3:::{bucket}/{key}", context)
        if method in ("GET", "HEAD") and not self._has_object(bucket, key):
            # who may not list is not told that an object is missing
            yield Need("s3:ListBucket", f"arn:aws:s3:::{bucket}", context)
            return
        kms = self._key_of_bucket(bucket) if action in KEY_FOR and method != "HEAD" else None
        if kms:
            via = {"kms:ViaService": f"s3.{self._region}.amazonaws.com"}
            yield Need(KEY_FOR[action], kms, via)
            if method == "POST":  # the parts of an object are read again
                yield Need("kms:Decrypt", kms, via)
