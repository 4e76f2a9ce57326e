"""What to do now about a link of the chain that failed, where the check itself knows nothing better."""

from __future__ import annotations

from ..errors import ProjectError
from .case import Case
from .together import last_result, mend_of

CHANGED_IN_MLFLOW = (
    "MLflow was changed after the model was registered. `lineage verify lineage.json` in a checkout of its result "
    "commit shows whether Git and DVC still prove the model; if so, delete the version in MLflow, and on a branch at "
    "that commit `dvc repro --force --single-item register`, `git add --all && git commit`, `lineage link`"
)
OF_TWO_STATES = (
    "the commit holds parts of two states. `dvc repro`, then `git add --all && git commit`, makes one whose parts "
    "belong together"
)
REMEDIES = {
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
    "dataset": "this dataset version contradicts itself: `dvc repro --force --single-item preprocess`, then "
    "`dvc repro`, and commit",
    "registered artifact": CHANGED_IN_MLFLOW,
}


def remedy_of(link: str, case: Case) -> str:
    """What to do about a failed link. Where the last result here is not whole, the command that makes it so."""
    remedy = REMEDIES.get(link, "")
    if remedy != OF_TWO_STATES:
        return remedy
    try:
        return f"`{mend_of(case.history)}`" if case.commit == last_result(case.history) else remedy
    except ProjectError:
        return remedy
