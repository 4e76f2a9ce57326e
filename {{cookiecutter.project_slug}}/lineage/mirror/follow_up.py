"""The Model Registry follows a decision: `lineage promote` and `demote` call this once they have decided."""

from __future__ import annotations

from pathlib import Path

from ..base.errors import ProjectError
from ..judgement.follow_up import Result

AGAIN = "lineage aws registry sync"  # as SYNC in sync.py, which costs time to import


def update_registry(root: Path, model: str, alias: str) -> Result | None:
    """What became of it; None unless compute.sagemaker.registry.follow asks for it, of this model and alias.

    Whatever goes wrong is an answer: the decision is made, and stays as it is.
    """
    try:
        from ..compute.sagemaker.settings import SageMakerSettings
        from ..dvc.dvcfile import PARAMS_FILE
        from ..settings import load_settings

        settings = load_settings(root / PARAMS_FILE)
        if "sagemaker" not in settings.compute.backends:
            return None
        wanted = SageMakerSettings.of(settings).registry
        if not wanted.follow or (model, alias) != (settings.tracking.model_name, wanted.alias):
            return None
        from ..proof.case import Evidence
        from .sync import Mirror

        mirror = Mirror(Evidence(root), settings)
        line = mirror.evidence.decisions.line(model, alias)
        number = line.now.number if line.now else None
        cases = [case for case in mirror.versions() if case.version is not None and str(case.version.version) == number]
        done = mirror.sync(cases)
    except ProjectError as error:
        text = f"SageMaker's Model Registry could not be updated: {error}"
        return Result(text, is_done=False, fix=error.fix or AGAIN)
    except Exception as error:  # of a library: it must not look as if nothing had been decided
        text = f"SageMaker's Model Registry could not be updated: {type(error).__name__}: {error}"
        return Result(text, is_done=False, fix=AGAIN)
    if fault := next((entry for entry in done.entries if entry.fault), None):
        text = f"{done.group} in SageMaker's Model Registry is not as decided: {fault.version}: {fault.fault}"
        return Result(text, is_done=False, fix=fault.fix or AGAIN)
    approved = [entry for entry in done.entries if entry.status == "Approved"]
    who = ", ".join(f"{entry.version} is Approved, {entry.arn}" for entry in approved) or "nothing is Approved"
    return Result(f"{done.group} in SageMaker's Model Registry: {who}.", is_done=True)
