"""The other way for code to reach a job: it clones a pushed commit. Refused where that would not be what is here."""

from __future__ import annotations

from ..base.errors import DispatchError
from ..dvc.dvcfile import PARAMS_FILE, locked_hash
from ..dvc.hashes import hash_path
from ..git.history import History
from ..git.repository import Repository, strip_user
from ..run.callbacks import Execution
from ..settings import flatten, read_params


def commit_for_job(execution: Execution, address: str | None, asked: str | None, where: str) -> dict[str, str]:
    """Address, commit and folder for the job to clone: by default the remote's, and what is checked out.

    `where` is the group of settings that `url` and `revision` stand in. Raises DispatchError unless the commit is on
    the remote and holds the code, the parameters and the recorded inputs of this execution exactly as they are here.
    """
    history = History(execution.root)
    revision = asked or "HEAD"
    commit = history.resolve(revision)
    if commit is None:
        raise DispatchError(f"{where}.revision is {revision}, which this repository does not know.")
    url = address or Repository(execution.root).url()
    if not url:
        raise DispatchError(f"there is no Git remote for the job to clone. Add one, or set {where}.url.")
    _require_same(execution, history, commit)
    remote = history.remote
    if remote.name is None:
        raise DispatchError(
            f"this repository has no Git remote that could be asked for the commit. `git remote add origin {url}`, "
            "`git push`, then run this again."
        )
    if not remote.has_commit(commit):
        raise DispatchError(f"{revision} ({commit[:12]}) is not on {remote.name}. `git push`, then run this again.")
    return {"url": strip_user(url), "commit": commit, "folder": history.prefix}


def _require_same(execution: Execution, history: History, commit: str) -> None:
    """Raises DispatchError for the first thing of this execution that the commit does not hold."""
    root, pipeline, stage, tree = execution.root, execution.pipeline, execution.stage, history.at(commit)
    if changed := history.git.changed_files():
        raise DispatchError(f"{changed[0]} differs from the commit that is checked out. Commit, push, run this again.")
    if tree.pipeline.stages.get(stage.name) != stage:
        raise DispatchError(f"dvc.yaml at {commit[:12]} defines {stage.name} otherwise. Commit, push, run this again.")
    at_commit, here = flatten(tree.params(PARAMS_FILE)), flatten(read_params(root / PARAMS_FILE))
    for key in sorted({*at_commit, *here}):
        # where a stage runs is the one thing that a job does not read there
        if at_commit.get(key) != here.get(key) and not key.startswith("compute."):
            raise DispatchError(f"{key} in params.yaml is not that of {commit[:12]}. Commit, push, run this again.")
    lock = tree.lock
    for dep in stage.deps:
        producer = pipeline.producer(dep)
        recorded = locked_hash(lock.get(producer.name), "outs", dep) if producer else tree.md5(dep)
        recorded = recorded or tree.added.get(dep)
        if recorded != hash_path(root / dep).md5:
            raise DispatchError(
                f"{dep} is not as {commit[:12]} {'records it in dvc.lock' if producer else 'holds it'}. "
                "Commit, push, run this again."
            )
