"""What SageMaker's own lineage gets of an execution: what went in, what the steps made, and where that is proved."""

from __future__ import annotations

from typing import Any

from ....contract import Role
from ....dvc.remote import Remote
from ..lineage_sources import of_commit, of_object
from .plan import Plan

MADE = {Role.DATASET: "DataSet", Role.MODEL: "Model"}  # what becomes an artifact, with its type
CODE = "code-"  # the artifact of the commit; the rest of its name


def step(name: str, plan: Plan, session: Any, executions: str) -> Any:
    """A step that records code and raw data as artifacts, stages as actions, and dataset version and model between.

    What a step makes has no hash before it ran: its source is the report of the execution that has it.
    """
    from sagemaker.core.lineage.action import Action
    from sagemaker.core.lineage.artifact import Artifact
    from sagemaker.core.workflow.execution_variables import ExecutionVariables
    from sagemaker.core.workflow.functions import Join
    from sagemaker.mlops.workflow.lineage_step import LineageAssociation, LineageEntityReference, LineageStep

    identity = ExecutionVariables.PIPELINE_EXECUTION_ID
    remote = Remote.of(plan.root)
    assert remote is not None  # preflight has looked
    artifacts, actions, associations = [], [], []
    known = {f"data-{md5}": of_object(remote.url, md5) for md5 in plan.known_inputs().values()}
    code = f"{CODE}{plan.commit}"
    known[code] = of_commit(plan.started_from.get("git_repo_url"), plan.commit)
    for title, source in known.items():
        kind = "Code" if title == code else "DataSet"
        artifacts.append(
            Artifact.create(artifact_name=title, source_uri=source, artifact_type=kind, sagemaker_session=session)
        )

    def joined(*parts: str) -> Any:
        return Join(on="-", values=[*parts, identity])

    def refer(title: Any, kind: str) -> Any:
        return LineageEntityReference(name=title, type=kind)

    for each in plan.steps:
        stage = each.stage
        report = Join(on="/", values=[executions, identity, "reports", f"{each.name}.json"])
        action = joined(each.name)
        actions.append(
            Action.create(
                action_name=action,
                source_uri=report,
                source_type="report",
                action_type="Training" if each.parcel.trains else "Processing",
                status="Completed",
                properties={"git_commit": plan.commit, "dvc_stage": stage.name},
                sagemaker_session=session,
            )
        )
        read = [code, *(f"data-{md5}" for md5 in each.inputs.values())]
        read += [joined(role) for role in MADE if _reads(plan, stage.deps, role)]
        associations += [
            LineageAssociation(refer(title, "Artifact"), refer(action, "Action"), "ContributedTo") for title in read
        ]
        for role, kind in MADE.items():
            if plan.pipeline.path(role) in stage.outs:
                title = joined(role)
                place = Join(on="#", values=[report, role.value])
                artifacts.append(
                    Artifact.create(
                        artifact_name=title, source_uri=place, artifact_type=kind, sagemaker_session=session
                    )
                )
                associations.append(LineageAssociation(refer(action, "Action"), refer(title, "Artifact"), "Produced"))
    return LineageStep(name=name, artifacts=artifacts, actions=actions, associations=associations)


def _reads(plan: Plan, deps: tuple[str, ...], role: Role) -> bool:
    """Whether a step reads what another step has made in this role."""
    path, steps = plan.pipeline.path(role), {step.stage.name for step in plan.steps}
    maker = plan.pipeline.producer(path) if path else None
    return path in deps and maker is not None and maker.name in steps


def commit_of(definition: dict[str, Any]) -> str:
    """The commit that a definition was made of, as its Lineage step names it; empty if none does."""
    for step in definition.get("Steps") or []:
        arguments = step["Arguments"]
        if step["Type"] == "Condition" and (found := commit_of({"Steps": arguments.get("IfSteps")})):
            return found
        artifacts = arguments.get("Artifacts") or [] if step["Type"] == "Lineage" else []
        titles = [each["ArtifactName"] for each in artifacts if isinstance(each["ArtifactName"], str)]
        if code := next((title for title in titles if title.startswith(CODE)), None):
            return str(code.removeprefix(CODE))
    return ""
