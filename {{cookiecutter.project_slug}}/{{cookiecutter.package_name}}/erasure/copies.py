"""Where the bytes of an object lie: cache, remote with all its versions, MLflow, folders; and how each is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from ..audit.logged import NAME
from ..errors import LineageError, TrackerError
from ..lineage.facts import DATASET, RAW
from ..proof.case import Evidence
from ..proof.erasures import FOLDER
from .holders import Holder, Holders, files_that_hold


@dataclass(frozen=True)
class Copy:
    """One place that holds the bytes."""

    kind: str  # "file", "remote", "artifact"
    place: str  # a path; the path in the remote's file system; the URI of the artifacts of a run
    what: str  # of the project: data/processed/shards/....parquet
    version: str | None = None  # of an object in a bucket that keeps versions
    locked_until: str | None = None  # by S3 Object Lock: cannot be deleted before

    @property
    def title(self) -> str:
        version = f", version {self.version}" if self.version else ""
        lock = f", locked until {self.locked_until}" if self.locked_until else ""
        return f"{self.place}{version}{lock}"


def find(evidence: Evidence, holders: Holders, ids: list[str]) -> list[Copy]:
    """Every copy of the holders that this project knows of. Raises LineageError if a place cannot be looked at."""
    copies = [copy for holder in {h.md5: h for h in holders.found}.values() for copy in _of_object(evidence, holder)]
    folders = {
        evidence.root / RAW: RAW,
        evidence.root / DATASET: DATASET,
        evidence.root / FOLDER: "what is left of manifests",
        evidence.main / ".dvc" / "tmp" / "kept": "kept between executions",
        evidence.main / ".dvc" / "tmp" / "exps": "temporary experiments",
    }
    for folder, what in folders.items():
        copies += [Copy("file", str(path), what) for path in files_that_hold(folder, ids)]
    audits = evidence.main / ".dvc" / "tmp" / "kept" / "audit"
    manifests = {holder.md5 for holder in holders.found}
    copies += [Copy("file", str(path), "kept for audits") for path in audits.glob("*") if path.name in manifests]
    return [*copies, *_artifacts(evidence, set(holders.datasets))]


def _of_object(evidence: Evidence, holder: Holder) -> Iterator[Copy]:
    cached = evidence.objects.cached(holder.md5)
    if cached is not None:
        yield Copy("file", str(cached), holder.path)
    place = evidence.objects.remote_path(holder.md5)
    for version, until in _versions(evidence, place):
        yield Copy("remote", place, holder.path, version, until)


def _versions(evidence: Evidence, place: str) -> list[tuple[str | None, str | None]]:
    """The versions of an object in the remote, and until when each is locked; one that is None where none are kept."""
    files = evidence.objects.remote_files
    if files.protocol != "s3":
        return [(None, None)] if files.exists(place) else []
    s3 = files.fs
    try:
        return [(version, _locked_until(s3, place, version)) for version in _version_ids(s3, place)]
    except Exception as error:  # botocore's have nothing in common
        raise LineageError(f"the versions of {place} cannot be listed: {error}") from error


def _version_ids(s3: Any, place: str) -> Iterator[str | None]:
    bucket, _, key = place.partition("/")
    markers: dict[str, str] = {}
    while True:
        page = s3.call_s3("list_object_versions", Bucket=bucket, Prefix=key, **markers)
        for item in page.get("Versions", []):
            if item["Key"] == key:
                yield None if item["VersionId"] == "null" else str(item["VersionId"])
        if not page.get("IsTruncated"):
            return
        markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}


def _locked_until(s3: Any, place: str, version: str | None) -> str | None:
    """Until when S3 Object Lock forbids to delete a version, as far as one may see it."""
    bucket, _, key = place.partition("/")
    head = s3.call_s3("head_object", Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
    if head.get("ObjectLockLegalHoldStatus") == "ON":
        return "its legal hold ends"
    until = head.get("ObjectLockRetainUntilDate")
    return until.astimezone(UTC).isoformat() if until else None


def _artifacts(evidence: Evidence, datasets: set[str]) -> Iterator[Copy]:
    """The manifests that runs have logged."""
    for run_id, run in evidence.store.runs.items():
        if run.data.tags.get("dvc_data_md5") not in datasets:
            continue
        with evidence.store.asked(f"list the artifacts of run {run_id}"):
            names = {item.path for item in _repository(run.info.artifact_uri).list_artifacts()}
        if NAME in names:
            yield Copy("artifact", run.info.artifact_uri, f"{NAME} of run {run_id}")


def delete(evidence: Evidence, copy: Copy) -> None:
    """Deletes one copy; one that is gone already is no error. Raises LineageError if it cannot be deleted."""
    try:
        if copy.kind == "file":
            Path(copy.place).unlink(missing_ok=True)
        elif copy.kind == "artifact":
            repository = _repository(copy.place)
            if NAME in {item.path for item in repository.list_artifacts()}:
                repository.delete_artifacts(NAME)
        elif copy.version is not None:
            bucket, _, key = copy.place.partition("/")
            s3 = evidence.objects.remote_files.fs
            s3.call_s3("delete_object", Bucket=bucket, Key=key, VersionId=copy.version)
        elif evidence.objects.remote_files.exists(copy.place):
            evidence.objects.remote_files.rm_file(copy.place)
    except TrackerError:
        raise
    except Exception as error:  # of file systems, S3 and MLflow: their classes have nothing in common
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise LineageError(f"{copy.title} cannot be deleted: {reason}") from error


def _repository(uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri)
