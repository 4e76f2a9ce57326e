"""Runs the pipeline where it is not up to date, and sends what came out to where everybody finds it."""

import json
from pathlib import Path

from steps import StopError, must, run

KEPT = "registered"  # tags that keep the commit of a version when its branch goes


def store_is_of_this_machine():
    """Whether MLflow's store is a file inside the project: then it goes with the machine that runs the job."""
    uri = _params()["tracking"]["uri"]
    return uri.startswith("sqlite:///") and not uri.startswith("sqlite:////")


def asks_for_consent():
    """Whether the project has a consent registry: else nobody is asked, and no record may become one too many."""
    return _params()["privacy"]["name"] != "none"


def _params():
    from lineage.settings import read_params

    return read_params(Path("params.yaml"))


def has_model():
    """Whether dvc.lock holds a training."""
    from lineage.dvc.recorded import Recorded

    return Recorded.here(Path.cwd()).identity is not None


def bring_up_to_date(repository, branch):
    """`dvc repro`, with the objects that it needs and no others; then objects, commit and tag are pushed.

    Raises StopError if the pipeline fails, or if others have pushed to the branch meanwhile.
    """
    if store_is_of_this_machine():
        uri = _params()["tracking"]["uri"]
        raise StopError(
            f"tracking.uri is {uri}, a file: the version that is registered here would go with this machine. Name an "
            "MLflow server: docs/mlflow.md."
        )
    _bring_what_training_left()
    # a training that fails would fail again; what it had from the network was fetched before
    must("dvc", "repro", "--pull", "--allow-missing", **repository.service.people)
    send(repository, branch, f"Results of {repository.service.commit[:12]}\n\n{repository.service.job_url}")


def _bring_what_training_left():
    """Brings what the last training wrote: registering hashes all of it, and it is no dependency for DVC to bring."""
    from lineage.dvc.recorded import Recorded

    recorded = Recorded.here(Path.cwd())
    if recorded.training is not None and recorded.trained is not None:
        must("dvc", "pull", "--quiet", recorded.training.name, tries=3)


def register(repository, branch):
    """Registers the model of dvc.lock, of which the registry has no version: it was made with another store."""
    from lineage.contract import Role
    from lineage.dvc.dvcfile import read_pipeline

    pipeline = read_pipeline(Path.cwd())
    stage = pipeline.maker(Role.CHAIN)
    if stage is None:
        raise StopError("dvc.yaml gives no stage the role chain: nothing registers a model.")
    must("dvc", "pull", "--quiet", *[dep for dep in stage.deps if pipeline.producer(dep)], tries=3)
    must("dvc", "repro", "--force", "--single-item", stage.name, **repository.service.people)
    send(repository, branch, f"Register the model of {repository.service.commit[:12]}\n\n{repository.service.job_url}")


def send(repository, branch, message):
    """Pushes the objects, then the commit: whoever sees the commit can have what it names."""
    if not repository.commit_results(message):
        print("Nothing is committed: what the commit holds is what ran.")
        return
    must("dvc", "push", "--quiet", tries=3)
    tag = _tag_version()
    if repository.push(f"HEAD:refs/heads/{branch}", *tag):
        return
    kept = f" Its commit is kept as {tag[0]}." if tag and repository.push(*tag, tries=3) else ""
    raise StopError(
        f"the remote did not take the results on {branch}: it has gone on, or this job may not push to it.{kept}"
    )


def _tag_version():
    """Tags the commit with the version that it holds, so that this stays proved when the branch is deleted."""
    model = json.loads(Path("lineage.json").read_text(encoding="utf-8")).get("model") or {}
    if not model.get("version"):
        return []
    tag = f"refs/tags/{KEPT}/{model['name']}-{model['version']}"
    return [tag] if run("git", "update-ref", tag, "HEAD") == 0 else []


def without_erased(status):
    """The exit status of verify; 0 for 3: records were erased on purpose, and all that is left agrees."""
    if status == 3:
        print("Records of this model were erased on purpose: the job is not red for that. The next training has none.")
        return 0
    return status


def version_is_registered():
    """Whether the registry has a version of the model of the last commit. Raises StopError if it cannot be asked."""
    from lineage.base.errors import ProjectError
    from lineage.proof.case import Evidence
    from lineage.proof.targets import resolve

    try:
        evidence = Evidence(Path.cwd())
        _ = evidence.store.versions  # else a registry that is silent would look like one that has none
        return any(case.version is not None for case in resolve(evidence, "HEAD").cases)
    except ProjectError as error:
        raise StopError(f"the registry does not say which versions it has: {error}") from None
