"""What to do now about a link of the chain that failed, where the check itself knows nothing better."""

from __future__ import annotations

from ..base.errors import ProjectError
from ..contract import Role
from ..dvc.dvcfile import Pipeline
from .case import ModelCase
from .together import completing_command, last_result

CHANGED_IN_MLFLOW = (
    "MLflow was changed after the model was registered. `lineage verify lineage.json` in a checkout of its result "
    "commit shows whether Git and DVC still prove the model; if so, delete the version in MLflow, and on a branch at "
    "that commit {register}"
)
OF_TWO_STATES = (
    "the commit holds parts of two states. `dvc repro`, then `git add --all && git commit`, makes one whose parts "
    "belong together"
)
FIXES = {
    "version": CHANGED_IN_MLFLOW,
    "training run": CHANGED_IN_MLFLOW,
    "parameters in MLflow": CHANGED_IN_MLFLOW,
    "metrics in MLflow": CHANGED_IN_MLFLOW,
    "other runs": CHANGED_IN_MLFLOW,
    "result commit": "`git fetch --all`, then `lineage link`",
    "dvc.lock": "`git fetch --all`, then `lineage link`",
    "code": OF_TWO_STATES,
    "parameters": OF_TWO_STATES,
    "lineage.json": OF_TWO_STATES,
    "run record": OF_TWO_STATES,
    "environment": "this model was trained with other packages than locked: `make setup`, then `dvc repro`, and commit",
    "data commit": "`git fetch --tags --force`, then `lineage link`",
    "metrics": OF_TWO_STATES,
    "DVC remote": "bring the named objects back from a backup of the remote, or with `lineage data push` from a clone "
    "whose cache is whole",
    "DVC cache": "delete the named objects from the cache; `dvc fetch` brings them again",
    "dataset": "this dataset version contradicts itself: `{dataset}`, then `dvc repro`, and commit",
    "registered artifact": CHANGED_IN_MLFLOW,
    "attestation": "`git log -- attestations` shows who changed what; `lineage attest` makes a new one to commit",
}


def fix_of_link(link: str, case: ModelCase) -> str:
    """What to do about a failed link. Where the last result here is not whole, the command that makes it so."""
    fix = FIXES.get(link, "")
    try:
        if fix == OF_TWO_STATES and case.commit == last_result(case.history):
            return f"`{completing_command(case.history)}`"
        pipeline = case.recorded.pipeline
    except ProjectError:
        pipeline = None
    return fix.format(register=register_again(pipeline), dataset=run_again(pipeline, Role.DATASET))


def register_again(pipeline: Pipeline | None) -> str:
    """The commands that make a version of the model once more."""
    return f"`{run_again(pipeline, Role.CHAIN)}`, `git add --all && git commit`, `lineage link`"


def run_again(pipeline: Pipeline | None, role: Role) -> str:
    """The command that runs the stage once more that makes what has the role."""
    stage = pipeline.maker(role) if pipeline else None
    return f"dvc repro --force --single-item {stage.name}" if stage else "dvc repro"
