"""The arguments of each step against the operations that SageMaker calls with them, as botocore has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ....base.errors import DispatchError

NAMED = {"Training": "TrainingJobName", "Processing": "ProcessingJobName"}  # which SageMaker adds itself
IN_LINEAGE = {"Artifacts": "CreateArtifact", "Actions": "CreateAction", "Contexts": "CreateContext"}
OWN = {"Condition": {"Conditions", "IfSteps", "ElseSteps"}, "Fail": {"ErrorMessage"}}
KEYS = {"Name", "Type", "Arguments", "DependsOn", "PropertyFiles", "RetryPolicies", "Description", "DisplayName"}


def validate(document: dict[str, Any]) -> None:
    """Raises DispatchError for the first step that SageMaker would refuse: unknown, missing or mistyped arguments."""
    names: list[str] = []
    for step in _steps(document["Steps"]):
        name = str(step.get("Name"))
        if name in names:
            raise DispatchError(f"two steps of the pipeline are called {name}.")
        names.append(name)
        if unknown := sorted(step.keys() - KEYS):
            raise DispatchError(f"step {name} of the pipeline has {unknown[0]}, which steps do not have.")
        for operation, arguments in _asked(step):
            if wrong := _faults(operation, arguments):
                raise DispatchError(f"step {name} of the pipeline is not as {operation} takes it: {wrong}")


def _steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        if step.get("Type") == "Condition":
            yield from _steps([*step["Arguments"]["IfSteps"], *step["Arguments"]["ElseSteps"]])


def _asked(step: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The calls that a step leads to, with their arguments."""
    kind, arguments = str(step.get("Type")), step["Arguments"]
    if kind in NAMED:
        yield f"Create{kind}Job", {NAMED[kind]: "x", **arguments}
    elif kind == "Lineage":
        for key, operation in IN_LINEAGE.items():
            yield from ((operation, each) for each in arguments.get(key) or [])
    elif kind in OWN:
        if unknown := sorted(arguments.keys() ^ OWN[kind]):
            raise DispatchError(f"step {step['Name']} of the pipeline must have {', '.join(OWN[kind])}: {unknown[0]}.")
    else:
        raise DispatchError(f"step {step.get('Name')} of the pipeline is of the kind {kind}, which is none of ours.")


def _faults(operation: str, arguments: dict[str, Any]) -> str:
    from botocore.session import Session
    from botocore.validate import ParamValidator

    shape = Session().get_service_model("sagemaker").operation_model(operation).input_shape
    report = ParamValidator().validate(_resolved(arguments), shape)
    return " ".join(str(report.generate_report()).split()) if report.has_errors() else ""


def _resolved(value: Any) -> Any:
    """What is known only when it runs is a text until then."""
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)) in ("Get", "Std:Join", "Std:JsonGet"):
            return "known-when-it-runs"
        return {key: _resolved(item) for key, item in value.items()}
    return [_resolved(item) for item in value] if isinstance(value, list) else value
