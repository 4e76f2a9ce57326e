"""Where this project keeps what names some subjects: cache, remote with all its versions, MLflow, its own folders; and
how each copy is deleted. Where it keeps nothing, or cannot delete, beyond.py looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

from ..audit.index import Index
from ..audit.index_file import FOLDER as INDEX
from ..base.errors import LineageError, TrackerError
from ..dvc.remote import cache_folder, object_path
from ..proof.case import Evidence
from ..proof.erased import FOLDER
from ..records.layout import MANIFEST
from ..records.shard_cache import SUMS
from ..tracking.address import local_path
from .holders import OF_RECORDS, Holder, Holders
from .search import CODE, NO_TEXT, Search, UnsearchableError
from .spellings import Hit

AUDITS = Path(".dvc", "tmp", "kept", "audit")  # what audits keep
REMOVED = "removed: it named somebody who was erased"


@dataclass(frozen=True)
class Copy:
    """One place that holds the bytes."""

    kind: str  # "file", "remote", "artifact", "tag"
    place: str  # a path; the path in the remote's file system; the URI of the artifacts of a run; run and tag
    what: str  # of the project: data/processed/shards/....parquet
    version: str | None = None  # of an object in a bucket that keeps versions
    locked_until: str | None = None  # by S3 Object Lock: cannot be deleted before

    @property
    def title(self) -> str:
        version = f", version {self.version}" if self.version else ""
        lock = f", locked until {self.locked_until}" if self.locked_until else ""
        return f"{self.place}{version}{lock}"


@dataclass
class Found:
    """The copies of what names some subjects, and what else was seen on the way."""

    copies: list[Copy] = field(default_factory=list)
    maybe: list[str] = field(default_factory=list)  # what may name them, or something else
    unknown: list[str] = field(default_factory=list)  # what could not be looked into
    left: list[str] = field(default_factory=list)  # what names them and cannot be deleted
    missing: list[Holder] = field(default_factory=list)  # what the remote should have, and has not

    def add(self, hit: Hit, copy: Copy) -> None:
        """A copy if somebody is named for certain, else something to look at."""
        if hit is Hit.SURE:
            self.copies.append(copy)
        elif hit is Hit.MAYBE:
            self.maybe.append(f"{copy.what}: {copy.title}")


def find(evidence: Evidence, holders: Holders, search: Search) -> Found:
    """Every copy that this project knows of. Raises LineageError if a place cannot be asked."""
    found = Found()
    trees = {tree: cache_folder(tree) for tree in evidence.history.worktrees}
    caches = [evidence.places.cache_folder, *trees.values()]
    for holder in {h.md5: h for h in holders.found}.values():
        found.copies += _of_object(evidence, holder, caches)
    for holder in holders.found:
        if _should_be_in_remote(evidence, holder):
            found.missing.append(holder)
            found.unknown.append(
                f"{holder.path} ({holder.md5}) was pushed and is not in the remote: nobody knows where that copy is"
            )
    for folder, what in _folders(evidence, trees).items():
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            if not path.is_file() or path.suffix in CODE or path.is_relative_to(notes_folder(evidence)):
                continue
            if path.parent.parts[-2:] == (AUDITS.name, INDEX):  # no text, and looked at below
                continue
            try:
                inside = "" if path == folder else str(path.relative_to(folder))
                hit = max(search.in_text(inside), search.in_path(path))
                measured = path.with_suffix(SUMS)  # of the images of a kept shard; first, as it is found by the shard
                if hit is Hit.SURE and path.suffix == ".parquet" and measured.is_file():
                    found.add(hit, Copy("file", str(measured), what))
                found.add(hit, Copy("file", str(path), what))
            except UnsearchableError as error:
                found.unknown.append(str(error))
    found.copies += _of_audits(
        evidence, holders, search, [evidence.main, *trees], {copy.place for copy in found.copies}
    )
    _in_mlflow(evidence, set(holders.datasets), search, found)
    return found


def _of_audits(evidence: Evidence, holders: Holders, search: Search, trees: list[Path], known: set[str]) -> list[Copy]:
    """What audits have kept in some worktrees: manifests, and an index whose files are compressed."""
    manifests, kept = {holder.md5 for holder in holders.found}, list[Path]()
    for audits in dict.fromkeys(tree / AUDITS for tree in trees):
        kept += [path for path in audits.glob("*") if path.name in manifests]
        index = Index(audits / INDEX, evidence.places.cache_root, audits)
        kept += index.files if manifests or index.may_hold(search.ids) else []
    return [Copy("file", str(path), "kept for audits") for path in kept if str(path) not in known]


def notes_folder(evidence: Evidence) -> Path:
    """Where erasures that were begun are noted, with the ids."""
    return evidence.main / ".dvc" / "tmp" / "erasures"


def _folders(evidence: Evidence, trees: dict[Path, Path]) -> dict[Path, str]:
    """Folders and files in which the project itself may name a subject, here and in other worktrees (with caches)."""
    own = evidence.main / ".dvc" / "tmp"
    folders = {
        own: "notes of DVC and of stages, logs of experiments, what is kept between executions",
        evidence.places.cache_folder / "runs": "the run cache of DVC",
    }
    roles = evidence.history.roles
    records = frozenset[str]().union(*map(roles.paths, OF_RECORDS))
    for tree in (evidence.root, *trees):
        folders |= {tree / path: path for path in records} | {tree / FOLDER: "what is left of manifests"}
    for tree, cache in trees.items():
        folders |= {tree / ".dvc" / "tmp": folders[own], cache / "runs": "the run cache of DVC"}
    return folders


def _should_be_in_remote(evidence: Evidence, holder: Holder) -> bool:
    """Whether the remote lacks an object although it was given its folder, and no erasure says that it took it."""
    objects = evidence.objects
    if (
        objects.held([holder.md5])[holder.md5].size is not None
        or objects.held([holder.folder])[holder.folder].size is None
    ):
        return False
    return evidence.erasures.named(holder.md5) is None


def _of_object(evidence: Evidence, holder: Holder, caches: list[Path]) -> Iterator[Copy]:
    for cached in dict.fromkeys(object_path(folder, holder.md5) for folder in caches):
        if cached.is_file():
            yield Copy("file", str(cached), holder.path)
    place = evidence.places.remote_path(holder.md5)
    for version, until in _versions(evidence, place):
        yield Copy("remote", place, holder.path, version, until)


def _versions(evidence: Evidence, place: str) -> list[tuple[str | None, str | None]]:
    """The versions of an object in the remote, and until when each is locked; one that is None where none are kept."""
    files = evidence.places.remote_files
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


def _in_mlflow(evidence: Evidence, datasets: set[str], search: Search, found: Found) -> None:
    """The manifests that runs have logged, their other artifacts as far as these lie here, and their tags."""
    for run_id, run in evidence.store.runs.items():
        uri = run.info.artifact_uri
        if run.data.tags.get("dvc_data_md5") in datasets:
            with evidence.store.asked(f"list the artifacts of run {run_id}"):
                names = {item.path for item in _repository(uri).list_artifacts()}
            if MANIFEST in names:
                found.copies.append(Copy("artifact", uri, f"{MANIFEST} of run {run_id}"))
        folder = local_path(uri)
        for path in sorted(folder.rglob("*")) if folder and folder.is_dir() else []:
            if path.is_file() and path.name != MANIFEST and path.suffix not in (*CODE, *NO_TEXT):
                found.add(search.in_path(path), Copy("file", str(path), f"artifact of run {run_id}"))
        for key, value in run.data.tags.items():
            copy = Copy("tag", f"{run_id} {key}", "tag of a run")
            if run.info.lifecycle_stage == "active":
                found.add(search.in_text(value), copy)
            elif search.in_text(value):
                found.left.append(f"tag {key} of the deleted run {run_id}: `mlflow gc` takes it away")
        for key, value in run.data.params.items():
            if search.in_text(value):
                found.left.append(f"parameter {key} of run {run_id}: MLflow changes none; delete the run, `mlflow gc`")


def delete(evidence: Evidence, copy: Copy) -> None:
    """Deletes one copy; one that is gone already is no error. Raises LineageError if it cannot be deleted."""
    try:
        if copy.kind == "file":
            Path(copy.place).unlink(missing_ok=True)
        elif copy.kind == "tag":
            run_id, _, key = copy.place.partition(" ")
            evidence.store.client.set_tag(run_id, key, REMOVED)
        elif copy.kind == "artifact":
            repository = _repository(copy.place)
            if MANIFEST in {item.path for item in repository.list_artifacts()}:
                repository.delete_artifacts(MANIFEST)
        elif copy.version is not None:
            bucket, _, key = copy.place.partition("/")
            s3 = evidence.places.remote_files.fs
            s3.call_s3("delete_object", Bucket=bucket, Key=key, VersionId=copy.version)
        elif evidence.places.remote_files.exists(copy.place):
            evidence.places.remote_files.rm_file(copy.place)
    except TrackerError:
        raise
    except Exception as error:  # of file systems, S3 and MLflow: their classes have nothing in common
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise LineageError(f"{copy.title} cannot be deleted: {reason}") from error
    finally:
        evidence.objects.forget("".join(Path(copy.place).parts[-2:]))  # what DVC calls the object there, if it is one


def _repository(uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri)
