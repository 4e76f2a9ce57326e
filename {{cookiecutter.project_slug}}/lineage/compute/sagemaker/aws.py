"""Amazon Web Services through the genuine SDKs: an account, its clients, objects and secrets; errors in a sentence."""

from __future__ import annotations

import json
import os
import secrets
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...base.errors import DispatchError
from ...base.translated import translate_errors
from .settings import SageMakerSettings
from .tags import PROJECT_METADATA, own_tags

if TYPE_CHECKING:
    from ...settings.params import Settings

# the SDK reports each call, with the account's number and the text of failures, unless a file says no
NO_TELEMETRY = Path(__file__).with_name("no_telemetry.yaml")
# AWS's own image: torch is its, everything else is installed from the lock
FRAMEWORK = {"framework": "pytorch", "version": "2.8", "py_version": "py312"}
# Java, YARN and Python 3.12 are this image's; Spark is that of requirements-spark.lock
SPARK = {"framework": "spark", "version": "3.5", "py_version": "py312"}


class Aws:
    """One account and region. Raises DispatchError, in one sentence, whatever AWS or the network say.

    Without `settings`, for use inside a job: region and credentials are the job's. `is_hasty` gives up within seconds
    where nobody answers: for questions by the way.
    """

    def __init__(
        self,
        settings: SageMakerSettings | None = None,
        *,
        project_id: str = "",
        region: str = "",
        is_hasty: bool = False,
    ) -> None:
        import boto3

        self._settings = settings
        self._project_id = project_id
        self._is_hasty = is_hasty
        with translate_errors(DispatchError, "could not find the AWS region and credentials"):
            # boto3 itself does not look at AWS_REGION, which AWS's other tools and containers set
            wanted = region or (settings.region if settings else None) or os.environ.get("AWS_REGION")
            self._session = boto3.Session(region_name=wanted)
        self.region = self._session.region_name or ""
        if not self.region:
            raise DispatchError("no AWS region is set. Set compute.sagemaker.region, or AWS_REGION in the environment.")
        if self._session.get_credentials() is None:
            raise DispatchError("no AWS credentials were found. `aws configure` or `aws sso login` brings them.")
        if not region:
            os.environ["AWS_DEFAULT_REGION"] = self.region  # parts of the SDK look there only

    @classmethod
    def of(cls, settings: Settings) -> Aws:
        """That of the section compute.sagemaker, wherever stages run. Raises SettingsError if there is none."""
        return cls(SageMakerSettings.of(settings), project_id=settings.project_id)

    @cache  # noqa: B019  lives as long as one stage; making a client costs more than asking it
    def client(self, service: str) -> Any:
        """A client of one service, which tries again where the network or AWS fail for a while."""
        from botocore.config import Config

        if self._is_hasty:
            once = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})
            return self._session.client(service, config=once)
        return self._session.client(service, config=Config(retries={"mode": "standard", "max_attempts": 8}))

    @property
    def account(self) -> str | None:
        """The number of the account that the credentials belong to; None if AWS does not say."""
        from botocore.exceptions import ClientError

        with translate_errors(DispatchError, "could not ask whose the AWS credentials are"):
            try:
                return str(self.client("sts").get_caller_identity()["Account"])
            except ClientError as error:
                if error.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}:
                    return None
                raise

    @property
    def settings(self) -> SageMakerSettings:
        """What is set of SageMaker."""
        assert self._settings is not None
        return self._settings

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything that is made here for the project."""
        assert self._project_id
        return own_tags(self._project_id, self.settings.tags)

    def tags_of(self, arn: str) -> dict[str, str]:
        """The tags of a resource of SageMaker. Raises botocore's errors: who asks says for what."""
        pages = self.client("sagemaker").get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    @property
    def _whose(self) -> dict[str, str]:
        """What an object says of the project that put it there. Its tags would need a right of their own."""
        return {PROJECT_METADATA: self._project_id} if self._project_id else {}

    @property
    def is_local(self) -> bool:
        """Whether SageMaker itself is on this machine: a stand-in, whose jobs run here."""
        host = urlsplit(self.client("sagemaker").meta.endpoint_url).hostname or ""
        return host == "localhost" or host.startswith("127.")

    def require_bucket(self) -> None:
        """Raises DispatchError unless the bucket is there and may be used."""
        bucket = self.settings.bucket
        with translate_errors(DispatchError, f"could not use the bucket {bucket} (compute.sagemaker.bucket)"):
            self.client("s3").head_bucket(Bucket=bucket)

    def address(self, *parts: str) -> str:
        """An S3 address below the bucket and the prefix of the settings."""
        return "/".join((f"s3://{self.settings.bucket}", self.settings.prefix, *parts))

    def read(self, address: str, most: int) -> bytes | None:
        """The bytes of an S3 object; None if there is none. Raises DispatchError if it has more than `most` bytes."""
        parts, client = urlsplit(address), self.client("s3")
        with translate_errors(DispatchError, f"could not read {address}"):
            try:
                answer = client.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
            except client.exceptions.NoSuchKey:
                return None
            data: bytes = answer["Body"].read(most + 1)
        if len(data) > most:
            raise DispatchError(f"{address} has {answer['ContentLength']} bytes; {most} are the most that is read.")
        return data

    def write(self, address: str, data: bytes) -> None:
        """Puts an S3 object."""
        parts = urlsplit(address)
        with translate_errors(DispatchError, f"could not write {address}"):
            self.client("s3").put_object(
                Bucket=parts.netloc, Key=parts.path.lstrip("/"), Body=data, Metadata=self._whose
            )

    def upload(self, folder: Path, address: str = "") -> str:
        """Puts the files of a folder below an S3 address, by default one of their own, which it returns."""
        address = address or self.address("projects", secrets.token_hex(8))
        parts, client = urlsplit(address), self.client("s3")
        with translate_errors(DispatchError, f"could not write to {address}"):
            for path in sorted(folder.iterdir()):
                key = f"{parts.path.lstrip('/')}/{path.name}"
                client.upload_file(str(path), parts.netloc, key, ExtraArgs={"Metadata": self._whose})
        return address

    def secret(self, name: str) -> dict[str, str]:
        """The entries of a secret in Secrets Manager."""
        with translate_errors(DispatchError, f"could not read the secret {name}"):
            text = self.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
            return {str(key): str(value) for key, value in json.loads(text).items()}

    def sagemaker_session(self, *, of_pipelines: bool = False) -> Any:
        """The SDK's own session, with telemetry off. In one of pipelines, nothing that is asked for is started."""
        os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"] = str(NO_TELEMETRY)
        os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")  # needs rights that few people have
        from sagemaker.core.config.config_manager import SageMakerConfig

        # each file is validated when it is loaded; the SDK does it again for each value it looks up: 5 s a job
        SageMakerConfig.validate_sagemaker_config = staticmethod(lambda _=None: None)
        if of_pipelines:
            from sagemaker.core.workflow.pipeline_context import PipelineSession as Session
        else:
            from sagemaker.core.helper.session_helper import Session
        return Session(
            boto_session=self._session,
            default_bucket=self.settings.bucket,
            default_bucket_prefix=self.settings.prefix,
        )

    def image(self, instance_type: str) -> str:
        """The container image of the settings, or AWS's own PyTorch image for the instance type."""
        if self.settings.image:
            return self.settings.image
        from sagemaker.core import image_uris

        with translate_errors(DispatchError, "could not find AWS's PyTorch image; compute.sagemaker.image names one"):
            return str(
                image_uris.retrieve(
                    region=self.region, instance_type=instance_type, image_scope="training", **FRAMEWORK
                )
            )

    def spark_image(self, instance_type: str) -> str:
        """AWS's own Spark image."""
        from sagemaker.core import image_uris

        what = "could not find AWS's Spark image; compute.sagemaker.spark.image names one"
        with translate_errors(DispatchError, what):
            return str(image_uris.retrieve(region=self.region, instance_type=instance_type, **SPARK))
