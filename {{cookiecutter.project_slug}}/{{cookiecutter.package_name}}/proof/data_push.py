"""Brings the DVC remote what dvc.lock records, each object looked up by itself.

`dvc push` does not: where the remote has a folder's listing, or had its files once, it takes the files to be there.
After an erasure, or any loss in the remote, they are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import LineageError
from ..lineage.remote import Remote
from ..pipeline.dvcfile import Lock, Pipeline, read_lock, read_pipeline
from .case import Evidence


@dataclass
class Pushed:
    """What was done."""

    dvc_remote: str
    objects: int = 0  # those that the remote has now
    sent: int = 0  # those of them that it did not have before
    erased: list[str] = field(default_factory=list)  # left out: erased for good
    lacking: list[str] = field(default_factory=list)  # what could not be brought, in sentences


def push(evidence: Evidence) -> Pushed:
    """Sends what dvc.lock here and the .dvc files of the last commit record, as far as the remote lacks it.

    What was erased, and nothing has been made of since, is left out, whatever the cache holds. Raises LineageError if
    there is no remote or it cannot be asked.
    """
    remote = Remote.of(evidence.root)
    if remote is None:
        raise LineageError("this project has no DVC remote. `dvc remote add --default storage URL` names one.")
    make_folder(remote)
    done = Pushed(remote.url)
    outs = kept_by_dvc(read_pipeline(evidence.root), read_lock(evidence.root))
    outs |= evidence.history.added("HEAD")
    for path, md5 in outs.items():
        try:
            erased = erased_files(evidence, path, md5)
            looked_at, sent = evidence.objects.send(md5, set(erased))
        except LineageError as error:
            done.lacking.append(f"{path}: {error}")
        else:
            done.erased += erased.values()
            done.objects, done.sent = done.objects + looked_at, done.sent + sent
    return done


def kept_by_dvc(pipeline: Pipeline, lock: Lock) -> dict[str, str]:
    """The outputs that a remote is to hold: hash by path."""
    return {
        out["path"]: out["md5"]
        for stage in pipeline.stages.values()
        for out in (lock.get(stage.name) or {}).get("outs") or []
        if out.get("md5") and out["path"] not in stage.uncached
    }


def make_folder(remote: Remote) -> None:
    """The first push to a local remote makes its folder."""
    if remote.folder is not None and remote.folder.parent.is_dir():
        (remote.folder / "files" / "md5").mkdir(parents=True, exist_ok=True)


def erased_files(evidence: Evidence, path: str, md5: str) -> dict[str, str]:
    """The files of an output that were erased for good, by hash: what they are and when it was."""
    files = evidence.objects.listing(md5) if md5.endswith(".dir") else {"": md5}
    found = {name: (file, evidence.erasures.of_object(file)) for name, file in files.items()}
    return {
        file: f"{path}/{name}".rstrip("/") + f", {erasure.title}" for name, (file, erasure) in found.items() if erasure
    }
