"""Brings the DVC remote what dvc.lock records, each object looked up by itself.

`dvc push` does not: where the remote has a folder's listing, or had its files once, it takes the files to be there.
After an erasure, or any loss in the remote, they are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.errors import LineageError
from ..dvc.dvcfile import DVC_LOCK, PARAMS_FILE, Lock, Pipeline, kept_outs, read_lock, read_pipeline
from ..dvc.remote import Remote
from ..dvc.upload import upload_cached
from ..run.exposed import require_hidden
from ..settings import load_settings
from .case import Evidence


@dataclass(kw_only=True)
class Pushed:
    """What was done. `lacking` says what could not be brought."""

    dvc_remote: str | None = None
    objects: int = 0  # those that the remote has now
    sent: int = 0  # those of them that it did not have before
    erased: list[str] = field(default_factory=list)  # left out: erased for good
    lacking: list[str] = field(default_factory=list)
    collected: list[str] = field(default_factory=list)  # left out: an earlier commit's, and `lineage gc` has deleted it

    def send(self, evidence: Evidence, path: str, md5: str) -> None:
        """Sends what the remote lacks of an output, without what was erased for good. Raises as `upload_cached`."""
        erased = _erased_files(evidence, path, md5)
        looked_at, sent = upload_cached(evidence.objects, md5, without=set(erased))
        self.erased += erased.values()
        self.objects, self.sent = self.objects + looked_at, self.sent + sent


def push(evidence: Evidence, *, every: bool = False) -> Pushed:
    """Sends what dvc.lock here and the .dvc files of the last commit record, as far as the remote lacks it.

    With `every` also what any earlier dvc.lock in Git records.

    What was erased, and nothing has been made of since, is left out, whatever the cache holds. Raises LineageError if
    there is no remote or it cannot be asked.
    """
    remote = Remote.of(evidence.root)
    if remote is None:
        raise LineageError("this project has no DVC remote. `dvc remote add --default storage URL` names one.")
    history = evidence.history
    if fix := history.git.how_to_bring(DVC_LOCK):
        raise LineageError(f"{DVC_LOCK} is in the last commit and not here: nobody knows what to send. `{fix}`.")
    require_hidden(evidence.root, load_settings(evidence.root / PARAMS_FILE))
    make_folder(remote)
    done = Pushed(dvc_remote=remote.url)
    outs = [*recorded_outs(read_pipeline(evidence.root), read_lock(evidence.root)).items()]
    outs += history.at("HEAD").added.items()
    current = set(outs)
    if every:
        states = {state.blob: state.commit for state in history.states if state.path == DVC_LOCK}
        for tree in map(history.at, states.values()):
            outs += recorded_outs(tree.pipeline, tree.lock).items()
            outs += tree.added.items()
    for path, md5 in dict.fromkeys(outs):
        try:
            done.send(evidence, path, md5)
        except LineageError as error:
            record = evidence.collections.of_object(md5) if _is_nowhere(evidence, md5) else None
            if record and (path, md5) not in current:
                done.collected.append(f"{path}, deleted by {record.title}")
            else:
                done.lacking.append(f"{path}: {error}" + (f" It was deleted by {record.title}." if record else ""))
    return done


def _is_nowhere(evidence: Evidence, md5: str) -> bool:
    """Whether neither the cache nor the remote has it: only then can a record of its deletion explain that."""
    try:
        return evidence.objects.is_missing(md5)
    except LineageError:  # the remote cannot be asked
        return False


def recorded_outs(pipeline: Pipeline, lock: Lock) -> dict[str, str]:
    """The outputs of all stages that DVC keeps: hash by path."""
    return {out["path"]: out["md5"] for stage in pipeline.stages.values() for out in kept_outs(stage, lock)}


def make_folder(remote: Remote) -> None:
    """The first push to a local remote makes its folder."""
    if remote.folder is not None and remote.folder.parent.is_dir():
        (remote.folder / "files" / "md5").mkdir(parents=True, exist_ok=True)


def _erased_files(evidence: Evidence, path: str, md5: str) -> dict[str, str]:
    """The files of an output that were erased for good, by hash: what they are and when it was."""
    files = evidence.objects.listing(md5) if md5.endswith(".dir") else {"": md5}
    found = {name: (file, evidence.erasures.of_object(file)) for name, file in files.items()}
    return {
        file: f"{path}/{name}".rstrip("/") + f", {erasure.title}" for name, (file, erasure) in found.items() if erasure
    }
