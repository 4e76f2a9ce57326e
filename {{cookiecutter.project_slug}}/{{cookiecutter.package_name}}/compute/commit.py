"""The other way for code to reach a job: it clones a pushed commit. Refused where that would not be what is here."""

from __future__ import annotations

from ..errors import DispatchError
from ..lineage.git import Repository, strip_user
from ..lineage.hashes import hash_path
from ..pipeline.callbacks import Execution
from ..pipeline.dvcfile import PARAMS_FILE, locked_hash
from ..proof.history import History
from ..settings import flatten, read_params


def commit_for_job(execution: Execution) -> dict[str, str]:
    """Address, commit and folder for the job to clone.

    Raises DispatchError unless the commit is on the remote and holds the code, the parameters and the recorded inputs
    of this execution exactly as they are here.
    """
    wanted = execution.settings.compute.sagemaker.git
    history = History(execution.root)
    revision = wanted.revision or "HEAD"
    commit = history.resolve(revision)
    if commit is None:
        raise DispatchError(f"compute.sagemaker.git.revision is {revision}, which this repository does not know.")
    url = wanted.url or Repository(execution.root).url()
    if not url:
        raise DispatchError("there is no Git remote for the job to clone. Add one, or set compute.sagemaker.git.url.")
    _require_same(execution, history, commit)
    if not history.is_pushed(commit):
        raise DispatchError(f"{revision} ({commit[:12]}) is not on {history.remote}. `git push`, then run this again.")
    return {"url": strip_user(url), "commit": commit, "folder": history.prefix}


def _require_same(execution: Execution, history: History, commit: str) -> None:
    """Raises DispatchError for the first thing of this execution that the commit does not hold."""
    root, pipeline, stage = execution.root, execution.pipeline, execution.stage
    if changed := history.git.changed_files():
        raise DispatchError(f"{changed[0]} differs from the commit that is checked out. Commit, push, run this again.")
    if history.pipeline(commit).stages.get(stage.name) != stage:
        raise DispatchError(f"dvc.yaml at {commit[:12]} defines {stage.name} otherwise. Commit, push, run this again.")
    at_commit, here = flatten(history.params(commit, PARAMS_FILE)), flatten(read_params(root / PARAMS_FILE))
    for key in sorted({*at_commit, *here}):
        # where a stage runs is the one thing that a job does not read there
        if at_commit.get(key) != here.get(key) and not key.startswith("compute."):
            raise DispatchError(f"{key} in params.yaml is not that of {commit[:12]}. Commit, push, run this again.")
    lock = history.lock(commit)
    for dep in stage.deps:
        producer = pipeline.producer(dep)
        recorded = locked_hash(lock.get(producer.name), "outs", dep) if producer else history.md5(commit, dep)
        recorded = recorded or history.added(commit).get(dep)
        if recorded != hash_path(root / dep).md5:
            raise DispatchError(
                f"{dep} is not as {commit[:12]} {'records it in dvc.lock' if producer else 'holds it'}. "
                "Commit, push, run this again."
            )
