"""Whether an MLflow server takes runs from this user, and what to do where it does not."""

from __future__ import annotations

import re
import shlex
from urllib.parse import quote

from ..base.finding import Finding

REST = "/api/2.0/mlflow"
BY_NAME = f"{REST}/experiments/get-by-name"
PATIENCE = 10  # seconds: it has to look into its tables
HERE = "lineage compose tracking.uri=sqlite:///mlflow.db"


def check_server(uri: str, experiment: str = "") -> Finding:
    """Whether an MLflow server answers this user, asked as MLflow asks it."""
    from .server import SilentError, UntrustedError
    from .shared import ask

    try:
        status, said = ask(uri, f"{BY_NAME}?experiment_name={quote(experiment, safe='')}", PATIENCE)
    except UntrustedError as error:
        fix = next((part for part in str(error).split("`") if part.startswith("export ")), "")
        return Finding("MLflow", "wrong", str(error), fix)
    except SilentError as error:
        return Finding("MLflow", "wrong", f"{error} Start it, or keep runs here.", HERE)
    if status in (401, 403):
        text = f"{uri} refuses this user ({status}). MLflow reads MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN."
        return Finding("MLflow", "wrong", text, "export MLFLOW_TRACKING_USERNAME=... MLFLOW_TRACKING_PASSWORD=...")
    if '"lifecycle_stage": "deleted"' in said and (number := re.search(r'"experiment_id": "(\d+)"', said)):
        return deleted_experiment(experiment, uri, number[1])
    if status >= 500 or (status == 404 and "error_code" not in said):
        return Finding("MLflow", "unknown", f"{uri} answers with {status} when asked for an experiment: is it MLflow?")
    return Finding("MLflow", "right", f"{uri} answers")


def deleted_experiment(experiment: str, uri: str, number: str) -> Finding:
    """What is said where the experiment that runs go to is deleted."""
    text = f"the experiment {experiment!r} at {uri} is deleted: stages that log there fail."
    restore = f"MLFLOW_TRACKING_URI={shlex.quote(uri)} mlflow experiments restore --experiment-id {number}"
    return Finding("MLflow", "wrong", text, restore)
