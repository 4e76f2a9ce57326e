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
from ..base.errors import MirrorError, ServingError
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.lineage_sources import HOSTED
from ..compute.sagemaker.tags import tag_value
from ..git.web import web_url
from ..proof.case import ModelCase
from ..serving.chain import UNKNOWN, chain_of
from ..serving.files import bring, order_of, pack
from ..serving.program.order import read_order
from ..settings.params import Settings
from .card import card_of
from .group import Package, described

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
ARCHIVE = "model.tar.gz"
PLACES = ("Image", "ModelDataUrl")
FURTHER = ("AdditionalModelDataSources", "AdditionalS3DataSource", "BaseModel")  # of a container: what is run beside


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
        record, chain = document["training_run"], chain_of(case)
        started = record.get("started_from") or {}
        found = {
            "project_id": case.evidence.project_id,
            "mlflow_model": tag_value(case.version.name),
            "mlflow_version": self.number,
            **chain,
            "data_git_commit_id": chain["data_git_commit_id"] or UNKNOWN,
            "training_run_id": record.get("run_id"),
            "tracking_uri": _if_hosted(document["model"].get("tracking_uri")),
            "git_repo_url": _if_hosted(started.get("git_repo_url")),
            "dvc_raw_md5": document["raw"]["md5"],
            "dvc_model_md5": document["model"]["md5"],
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

    def specification(self, aws: Aws) -> dict[str, Any]:
        """What serves it. Raises MirrorError if no image is set."""
        case, wanted = self.case, self.settings.serving.endpoint
        image = wanted.image or aws.settings.image
        if image is None:
            raise MirrorError(
                "serving.endpoint.image must be set: a package names the image that serves it, made from this "
                "project's Dockerfile (docs/serving.md)."
            )
        order = order_of(case, self.settings.serving.limits).model_dump_json()
        archive = aws.address(*self._folder, ARCHIVE)
        return {
            "Containers": [{"Image": image, "ModelDataUrl": archive, "Environment": {PIPELINE_SERVE: order}}],
            "SupportedContentTypes": TYPES,
            "SupportedResponseMIMETypes": [JSON],
            "SupportedRealtimeInferenceInstanceTypes": [wanted.instance_type],
            "SupportedTransformInstanceTypes": [wanted.instance_type],
        }

    def unlike(self, package: Package, aws: Aws) -> str:
        """What a package would serve otherwise than it is to be; empty if nothing. Limits of requests may differ."""
        try:
            [wanted] = self.specification(aws)["Containers"]
        except MirrorError as error:
            return str(error)
        if len(package.containers) != 1:
            return f"it has {len(package.containers)} containers, not one"
        [there] = package.containers
        other = [f"{key} is {there.get(key)}, not {wanted[key]}" for key in PLACES if there.get(key) != wanted[key]]
        source = ((there.get("ModelDataSource") or {}).get("S3DataSource") or {}).get("S3Uri")
        if source not in (None, wanted["ModelDataUrl"]):
            other.append(f"ModelDataSource is {source}")
        other += [f"it has {key}" for key in FURTHER if there.get(key)]
        if not _is_same_order(there.get("Environment") or {}, wanted["Environment"]):
            other.append("Environment is another one")
        return "; ".join(other)

    @property
    def _folder(self) -> tuple[str, str]:
        return ("registry", str(self.case.document["artifact"]["sha256"]))

    def put_files(self, aws: Aws) -> None:
        """Puts the registered files where SageMaker reads them. Raises ServingError if MLflow hands out others."""
        aws.require_bucket()
        aws.write(aws.address(*self._folder, ARCHIVE), pack(bring(self.case)))

    def request(self, aws: Aws) -> dict[str, Any]:
        """What makes its package. Puts its files and scores where SageMaker reads them.

        Raises MirrorError if no image is set, ServingError if MLflow hands out other files than were registered.
        """
        case, specification = self.case, self.specification(aws)
        self.put_files(aws)
        scores = json.dumps(case.document["metrics"], sort_keys=True).encode()
        digest = hashlib.sha256(scores).hexdigest()
        statistics = aws.address(*self._folder, f"metrics-{digest[:16]}.json")
        aws.write(statistics, scores)
        quality = {"ContentType": JSON, "ContentDigest": f"sha256:{digest}", "S3Uri": statistics}
        return {
            "ModelPackageDescription": described(f"{case.title}, model identity {case.identity}, commit {case.commit}"),
            "InferenceSpecification": specification,
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
        return {key: described(str(value)) for key, value in found.items() if value}


def _if_hosted(address: str | None) -> str | None:
    """An address that others can reach, or could; a file of this machine means nothing elsewhere."""
    is_hosted = address is not None and (address.startswith("arn:") or HOSTED.fullmatch(address))
    return address if is_hosted else None


def _is_same_order(there: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether a container is told to serve the same model, within whatever limits."""
    if there.keys() != wanted.keys():
        return False
    try:
        one, other = read_order(there[PIPELINE_SERVE]), read_order(wanted[PIPELINE_SERVE])
    except ServingError:
        return False
    return one.model_copy(update={"limits": other.limits}) == other
