"""What a package of the Model Registry says of a version: its files, its scores, and the chain as metadata.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..base.env import PIPELINE_SERVE
from ..base.errors import MirrorError
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.lineage_sources import HOSTED
from ..git.web import web_url
from ..proof.case import ModelCase
from ..serving.files import bring, order_of, pack
from ..serving.models import tag_value
from ..settings.params import Settings
from .card import card_of

FITS = re.compile(r"[\w .:/=+\-@]{1,256}")  # a value of the metadata; there are 50 of them at most
KEY = (
    "project_id",
    "mlflow_model",
    "mlflow_version",
    "model_identity",
)  # by which a package is known to be a version's
TYPES = ["image/png", "image/jpeg", "application/x-image", "application/octet-stream", "application/json"]
JSON = "application/json"
PENDING = "PendingManualApproval"


@dataclass(frozen=True)
class Version:
    """A version that Git holds, and what a package says of it. Raises LineageError where its commit is not known."""

    case: ModelCase
    settings: Settings

    @property
    def number(self) -> str:
        """Its number in MLflow."""
        assert self.case.version is not None
        return str(self.case.version.version)

    @cached_property
    def known(self) -> dict[str, str]:
        """The chain by the names that MLflow has for it, as lineage.json of the result commit says it."""
        case, document = self.case, self.case.document
        assert case.version is not None
        record = document["training_run"]
        started = record.get("started_from") or {}
        data_commit = case.version.tags.get("data_git_commit_id") or case.history.data_commit(
            document["dataset"]["md5"]
        )
        found = {
            "project_id": case.evidence.project_id,
            "mlflow_model": tag_value(case.version.name),
            "mlflow_version": self.number,
            "model_identity": case.identity,
            "training_run_id": record.get("run_id"),
            "tracking_uri": _if_hosted(document["model"].get("tracking_uri")),
            "result_git_commit_id": case.history.resolve(case.commit),
            "data_git_commit_id": data_commit,
            "git_repo_url": _if_hosted(started.get("git_repo_url")),
            "dvc_raw_md5": document["raw"]["md5"],
            "dvc_data_md5": document["dataset"]["md5"],
            "data_sha256": document["dataset"]["sha256"],
            "dvc_model_md5": document["model"]["md5"],
            "model_sha256": document["model"]["sha256"],
            "artifact_sha256": document["artifact"]["sha256"],
            "environment_md5": document["environment"]["md5"],
            "subjects_root": document["dataset"]["subjects"]["root"],
            "pretrained_sha256": (document.get("pretrained") or {}).get("sha256"),
        }
        return {key: str(value) for key, value in found.items() if value}

    @property
    def metadata(self) -> dict[str, str]:
        """What of it the registry takes."""
        return {key: value for key, value in self.known.items() if FITS.fullmatch(value)}

    @property
    def left_out(self) -> list[str]:
        """The names of what the registry does not take, such as an address with a `?`."""
        return sorted(self.known.keys() - self.metadata.keys())

    def is_of(self, metadata: dict[str, str]) -> bool:
        """Whether a package with this metadata is this version's."""
        return all(metadata.get(key) == self.known[key] for key in KEY)

    def request(self, aws: Aws) -> dict[str, Any]:
        """What makes its package. Puts its files and scores where SageMaker reads them.

        Raises MirrorError if no image is set, ServingError if MLflow hands out other files than were registered.
        """
        case, wanted = self.case, self.settings.serving.endpoint
        image = wanted.image or aws.settings.image
        if image is None:
            raise MirrorError(
                "serving.endpoint.image must be set: a package names the image that serves it, made from this "
                "project's Dockerfile (docs/serving.md)."
            )
        aws.require_bucket()
        folder = ("registry", str(case.document["artifact"]["sha256"]))
        archive = aws.address(*folder, "model.tar.gz")
        aws.write(archive, pack(bring(case)))
        scores = json.dumps(case.document["metrics"], sort_keys=True).encode()
        digest = hashlib.sha256(scores).hexdigest()
        statistics = aws.address(*folder, f"metrics-{digest[:16]}.json")
        aws.write(statistics, scores)
        order = order_of(case, self.settings.serving.limits).model_dump_json()
        quality = {"ContentType": JSON, "ContentDigest": f"sha256:{digest}", "S3Uri": statistics}
        return {
            "ModelPackageDescription": _line(f"{case.title}, model identity {case.identity}, commit {case.commit}"),
            "InferenceSpecification": {
                "Containers": [{"Image": image, "ModelDataUrl": archive, "Environment": {PIPELINE_SERVE: order}}],
                "SupportedContentTypes": TYPES,
                "SupportedResponseMIMETypes": [JSON],
                "SupportedRealtimeInferenceInstanceTypes": [wanted.instance_type],
                "SupportedTransformInstanceTypes": [wanted.instance_type],
            },
            "ModelApprovalStatus": PENDING,
            "CustomerMetadataProperties": {**self.metadata, "approval": PENDING},
            "MetadataProperties": self._origin(),
            "ModelMetrics": {"ModelQuality": {"Statistics": quality}},
            # nobody has reviewed it: what was decided is about the model
            "ModelCard": {"ModelCardStatus": "Draft", "ModelCardContent": card_of(case)},
            "ClientToken": hashlib.sha256("\n".join(self.known[key] for key in KEY).encode()).hexdigest()[:36],
        }

    def _origin(self) -> dict[str, str]:
        record = self.case.document["training_run"]
        repository = self.known.get("git_repo_url")
        made_by = (record.get("job") or {}).get("sagemaker_job_arn") or record.get("run_id")
        found = {
            "CommitId": self.known.get("result_git_commit_id"),
            "Repository": web_url(repository) or repository,
            "GeneratedBy": made_by,
            "ProjectId": self.case.evidence.project_id,
        }
        return {key: _line(str(value)) for key, value in found.items() if value}


def _if_hosted(address: str | None) -> str | None:
    """An address that others can reach, or could; a file of this machine means nothing elsewhere."""
    is_hosted = address is not None and (address.startswith("arn:") or HOSTED.fullmatch(address))
    return address if is_hosted else None


def _line(text: str) -> str:
    """As one line, no longer than a description may be."""
    return " ".join(text.split())[:1024]
