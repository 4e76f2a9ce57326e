"""An account that is not asked: what the SDK needs to define a pipeline is answered here, all else refused."""

from __future__ import annotations

import os
from typing import Any

from ....base.errors import DispatchError
from ..aws import Aws
from ..settings import SageMakerSettings

ACCEPTED = ("s3.PutObject", "s3.CreateMultipartUpload", "s3.UploadPart", "s3.CompleteMultipartUpload", "s3.HeadBucket")


def ask_nobody() -> None:
    """Sees to it that nothing in this process asks AWS, nor a machine of AWS's or a profile for credentials.

    The SDK makes sessions of its own beside the one that it is given. For a process that does nothing else.
    """
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ.update(dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "nobody"))
    os.environ.update({"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})


class OfflineAws(Aws):
    """Needs no credentials and no network. What is written to S3 goes nowhere."""

    def __init__(self, settings: SageMakerSettings, project_id: str) -> None:
        import boto3

        self._settings = settings
        self._project_id = project_id
        self._is_hasty = False
        region = settings.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise DispatchError("no AWS region is set. Set compute.sagemaker.region, or AWS_REGION in the environment.")
        self.region = os.environ["AWS_DEFAULT_REGION"] = region  # parts of the SDK look there only
        keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "nobody")
        self._session = boto3.Session(**keys, region_name=region)
        self._session.events.register("before-call.*.*", self._answer)

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        """In the place of AWS, by the hook that botocore has for that."""
        asked, metadata = f"{model.service_model.service_name}.{model.name}", {"HTTPStatusCode": 200}
        answers: dict[str, dict[str, Any]] = {
            "s3.ListBuckets": {"Buckets": [{"Name": self.settings.bucket}]},
            "s3.ListObjectsV2": {"KeyCount": 0},  # whether the bucket may be used
            "iam.SimulatePrincipalPolicy": {"EvaluationResults": []},  # as where nobody may ask
            "iam.GetRole": {"Role": {"Arn": self.settings.role, "AssumeRolePolicyDocument": {"Statement": []}}},
            **{each: {"UploadId": "none", "ETag": "none"} for each in ACCEPTED},
        }
        if asked not in answers:
            raise DispatchError(f"the SDK would ask AWS for {asked} to define the pipeline, which needs nobody.")
        return _Answered, {**answers[asked], "ResponseMetadata": metadata}


class _Answered:
    status_code = 200
