"""Everything about a job that would fail later is found before anything starts, and said in one sentence."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ...base.errors import DispatchError
from ...dvc.dvcfile import Stage
from ...dvc.remote import Remote
from ...settings import Settings
from ...tracking.check_server import check_server
from .aws import Aws
from .settings import SageMakerSettings

LOOPBACK = ("localhost", "127.", "::1", "0.0.0.0")  # noqa: S104  compared with, not listened on
REMOTE = ("http", "https", "arn")  # schemes of a store that is not a file or a database


def check(wanted: SageMakerSettings, root: Path, stage: Stage, settings: Settings, instances: int) -> Aws:
    """The way to AWS, when all is well for a job on so many instances.

    Raises DispatchError with the first thing that is not.
    """
    check_here(wanted, root, stage, settings, instances)
    aws = Aws(wanted, project_id=settings.project_id)
    _require_tracking(settings, aws)
    aws.require_bucket()
    return aws


def check_here(wanted: SageMakerSettings, root: Path, stage: Stage, settings: Settings, instances: int) -> None:
    """The part of `check` that asks nobody."""
    _require_settings(wanted)
    _require_remote(root)
    _require_work_for_all(instances, stage, settings)
    _require_cached_outputs(stage)


def _require_settings(wanted: SageMakerSettings) -> None:
    missing = [name for name in ("role", "bucket") if getattr(wanted, name) is None]
    if missing:
        names = " and ".join(f"compute.sagemaker.{name}" for name in missing)
        overrides = " ".join(f"compute.sagemaker.{name}=..." for name in missing)
        raise DispatchError(
            f"{names} must be set: in conf/compute/sagemaker.yaml, or by `lineage compose compute=sagemaker "
            f"{overrides}` with the overrides you want to keep."
        )


def _require_work_for_all(instances: int, stage: Stage, settings: Settings) -> None:
    # a stage that can work in several processes has a setting of this name in the group of its own
    processes = getattr(getattr(settings, stage.module, None), "processes", 1)
    if processes % instances:
        raise DispatchError(
            f"compute.sagemaker.training.instance_count is {instances}, and {stage.module}.processes is {processes}: "
            f"every instance gets as many processes. Set {stage.module}.processes to a multiple of {instances}, for "
            "example the number of GPUs of all instances."
        )


def _require_remote(root: Path) -> None:
    remote = Remote.of(root)
    if remote is None:
        raise DispatchError(
            "DVC has no default remote. `dvc remote add --default storage s3://BUCKET/PREFIX` adds one."
        )
    if urlsplit(remote.url).scheme != "s3":
        raise DispatchError(
            f"the DVC remote {remote.name} is {remote.url}, which a job cannot reach: it must be on S3. "
            f"`dvc remote modify {remote.name} url s3://BUCKET/PREFIX` changes it."
        )


def _require_tracking(settings: Settings, aws: Aws) -> None:
    if not settings.callbacks:
        return
    uri = settings.tracking.uri
    scheme, host = urlsplit(uri).scheme, urlsplit(uri).hostname or ""
    # jobs of a stand-in for AWS on this machine do reach this machine
    if scheme not in REMOTE or (host.startswith(LOOPBACK) and not aws.is_local):
        raise DispatchError(
            f"tracking.uri is {uri}, which a job cannot reach. Set the address of an MLflow server, or the ARN "
            "of one of SageMaker's, with the other overrides: `lineage compose compute=sagemaker tracking.uri=...`."
        )
    if scheme != "arn" and (silent := check_server(uri)).state == "wrong":
        raise DispatchError(silent.text)


def _require_cached_outputs(stage: Stage) -> None:
    if stage.uncached:
        raise DispatchError(
            f"{stage.uncached[0]} is `cache: false` in dvc.yaml, but what a job makes comes back through DVC. "
            f"Remove that, or run {stage.name} here."
        )
