"""What one version was trained on itself, by Git, by MLflow, and by its training run. What Git records counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.errors import LineageError
from ..contract import Role
from ..dvc.dvcfile import locked_hash
from ..proof.case import Evidence, ModelCase
from ..proof.endpoints import endpoints_in
from ..proof.git_models import GitModel
from ..proof.locks import Entry
from ..proof.moments import moment_of
from .holdings import Holdings, inputs_of
from .use import Use

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

TRAINING = "training"  # what made a version or a logged model, where its stage is not named
ANCESTORS = {"pretrained_sha256", "parent_model_sha256"}  # tags that name the weights a training started from


def use_of_version(version: ModelVersion) -> Use:
    """A version as MLflow describes it, whatever it rests on."""
    return Use(
        kind="version",
        name=f"models:/{version.name}/{version.version}",
        stage=TRAINING,
        role=Role.MODEL,
        run_id=version.tags.get("training_run_id") or "",
        registered=moment_of(version.creation_timestamp),
        state=version.status,
        aliases=tuple(version.aliases),
        endpoints=tuple(endpoints_in(version.tags)),
    )


def trained_on(holdings: Holdings, version: ModelVersion) -> Use:
    """A version that is marked as this project's, and what it was trained on; what its ancestors were is left out."""
    evidence = holdings.evidence
    use = use_of_version(version)
    model = holdings.git.models.get(version.tags.get("model_identity", ""))
    use.add_git(model)
    claimed = version.tags.get("dvc_data_md5")
    use.datasets |= {claimed} if claimed else set()
    try:
        use.commit, entry = _proving(evidence, version, model)
        recorded = _read_as(evidence, Role.DATASET, entry)
        if _read_as(evidence, Role.PRETRAINED, entry) and not any(tag in version.tags for tag in ANCESTORS):
            use.unknown.append("Git says it started from other weights, MLflow says from none")
    except LineageError as error:
        use.unknown.append(f"no commit proves what it was trained on ({error})")
    else:
        use.datasets |= {recorded} if recorded else set()
        if recorded != claimed:
            use.unknown.append(f"MLflow says it was trained on {claimed}, Git says on {recorded}")
    if found := holdings.run(str(version.tags.get("training_run_id"))):
        _add_training(use, found[1])
    return use


def _proving(evidence: Evidence, version: ModelVersion, model: GitModel | None) -> tuple[str, Entry]:
    """The commit that proves a version, with the entry of its training. Raises LineageError if there is none."""
    case = ModelCase(evidence, version)
    tagged = case.tagged_commit
    if model and tagged in model.commits and "deps" in model.entry and evidence.history.resolve(str(tagged)):
        return str(tagged), model.entry  # without reading the whole of dvc.lock again
    return case.commit, case.recorded.trained or {}


def _read_as(evidence: Evidence, role: Role, entry: Entry) -> str | None:
    """The hash of what a training read in a role."""
    found = (locked_hash(entry, "deps", path) for path in evidence.history.roles.paths(role))
    return next(filter(None, found), None)


def _add_training(use: Use, run: Run) -> None:
    """When the training run was, and what it has read."""
    use.started, use.ended = moment_of(run.info.start_time), moment_of(run.info.end_time)
    logged = inputs_of(run)
    use.datasets |= logged
    if len(use.datasets) > 1 and not use.unknown:
        use.unknown.append(f"its training run {run.info.run_id} has read {', '.join(sorted(logged))}")
