"""The commands `lineage pipeline ...`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ....base.errors import DispatchError, ProjectError
from ....base.printable import printable
from ....base.project import project_root
from ....base.terminal import print_answer
from ....contract import Role

if TYPE_CHECKING:
    from ..aws import Aws
    from .executions import Started
    from .parameters import Parameters
    from .plan import Plan

app = typer.Typer(help="The stages that run on SageMaker as one SageMaker Pipeline.", no_args_is_help=True)
EXECUTION = typer.Argument(metavar="EXECUTION", help="The id of an execution, or its ARN.")


@app.command(name="compile")
def compile_(
    output: Annotated[Path | None, typer.Option("--output", help="Write it there instead of to the terminal.")] = None,
) -> None:
    """Write the definition of the pipeline of this commit. Asks nobody; the same commit gives the same bytes."""
    from .definition import define
    from .offline import OfflineAws, ask_nobody

    ask_nobody()
    plan, parameters = _planned()
    text = define(plan, parameters, OfflineAws(plan.backend, plan.settings.project_id))
    if output is None:
        print(text, end="")
        return
    output.write_text(text, encoding="utf-8", newline="\n")
    print(f"written: {output}: {_summary(plan, parameters)}")


@app.command()
def upsert() -> None:
    """Make the pipeline in the account, or give it the definition of this commit, with all that its jobs need."""
    from . import executions
    from .upload import upload

    plan, parameters = _planned()
    aws, definition = upload(plan, parameters)
    arn = executions.upsert(aws, plan.name, definition, executions.description_of(plan))
    print(f"{arn}: {_summary(plan, parameters)}")
    print("`lineage pipeline start` starts it.")


@app.command()
def start(
    given: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="A parameter, or the setting that it stands for.")
    ] = None,
) -> None:
    """Start an execution of the pipeline as it is in the account."""
    from . import executions
    from .consent import require_consent_of

    pairs = [(item, *item.partition("=")[::2]) for item in given or []]
    if wrong := next((item for item, name, value in pairs if not name or not value), None):
        raise typer.BadParameter(f"{wrong} is not NAME=VALUE")
    plan, parameters = _planned()
    require_consent_of(plan)
    aws = _aws(plan)
    executions.require_ours(aws, plan.name)
    executions.require_this_commit(aws, plan)
    arn = executions.start(aws, plan.name, {name: value for _, name, value in pairs}, parameters)
    print(arn)
    print(
        f"`lineage pipeline status {arn.rpartition('/')[2]}` looks at it; when it has succeeded, `collect` brings it."
    )


@app.command()
def status(
    execution: Annotated[str | None, EXECUTION] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """Say how an execution is; without one, list those of the pipeline. Exit status: 1 if it failed or was stopped."""
    from . import executions
    from .runs import close_runs

    plan, _ = _planned(any_state=True)
    if execution is None:
        aws = _aws(plan)
        executions.require_ours(aws, plan.name)
        _show_listed(executions.listed(aws, plan.name), as_json=as_json)
        return
    _, found = _looked_at(plan, execution)
    closed = close_runs(plan, found)
    if as_json:
        document = {key: value for key, value in asdict(found).items() if key != "definition"}
        print_answer(json.dumps(document, indent=2))
    else:
        print(f"{found.arn}  {found.status}")
        for step in found.steps:
            print(f"  {step.status:<10} {step.name}  {printable(step.failure) or step.job}")
        for run_id in closed:
            print(f"  run {run_id}, which its job had left open, is closed as KILLED.")
        if found.failure:
            print(f"  {printable(found.failure)}")
        if found.status == "Succeeded":
            print(f"`lineage pipeline collect {found.identity}` brings what it made into dvc.lock.")
        elif found.status in ("Failed", "Stopped"):
            print(f"`lineage pipeline retry {found.identity}` goes on with the steps that did not succeed.")
    sys.exit(found.status in ("Failed", "Stopped"))


@app.command()
def stop(execution: Annotated[str, EXECUTION]) -> None:
    """Stop an execution, with the jobs of its steps. Returns at once; `status` says when it is over."""
    from . import executions

    plan, _ = _planned(any_state=True)
    aws, found = _looked_at(plan, execution)
    executions.stop(aws, found)
    print(f"{found.arn} is asked to stop. `lineage pipeline status {found.identity}` says when it has.")


@app.command()
def retry(execution: Annotated[str, EXECUTION]) -> None:
    """Go on with an execution that failed or was stopped: with the steps that did not succeed."""
    from . import executions
    from .consent import require_consent_of

    plan, _ = _planned()
    aws, found = _looked_at(plan, execution)
    executions.require_retryable(found, plan.commit)
    require_consent_of(plan)
    executions.retry(aws, found.arn)
    print(f"{found.arn} goes on. `lineage pipeline status {found.identity}` looks at it.")


@app.command()
def collect(execution: Annotated[str, EXECUTION]) -> None:
    """Bring what an execution made into dvc.lock, with its objects, the registered version and lineage.json."""
    from .. import checkpoints
    from .collect import collect as bring
    from .runs import tag_runs

    plan, parameters = _planned()
    aws, found = _looked_at(plan, execution)
    done = bring(plan, parameters, aws, found)
    try:
        tag_runs(plan, aws, found)
    except ProjectError as error:  # no proof rests on it
        print(f"warning: the runs do not say what their jobs cost: {error}", file=sys.stderr)
    for step in plan.steps:
        if step.parcel.resumes:
            checkpoints.forget(aws, "/".join(checkpoints.parts_for_step(aws, found.identity, step.name)))
    for key, value in done.settings.items():
        print(f"{key} is {value} in params.yaml, as the execution had it.")
    ran = f"; ran here: {', '.join(done.after)}" if done.after else ""
    print(f"collected: {', '.join(done.steps)}{ran}.")
    print(f'`git add -A && git commit -m "Execution {found.identity}" && dvc push && lineage link`, then verify.')


def _planned(*, any_state: bool = False) -> tuple[Plan, Parameters]:
    from .parameters import parameters_of
    from .plan import plan_of

    plan = plan_of(project_root(), any_state=any_state)
    return plan, parameters_of(plan)


def _aws(plan: Plan) -> Aws:
    from ..aws import Aws

    return Aws(plan.backend, project_id=plan.settings.project_id)


def _looked_at(plan: Plan, execution: str) -> tuple[Aws, Started]:
    """The account, and what it says of an execution of the pipeline, which is named by id or ARN."""
    from . import executions

    aws = _aws(plan)
    executions.require_ours(aws, plan.name)
    return aws, executions.look(aws, executions.arn_of(aws, plan.name, execution))


def _summary(plan: Plan, parameters: Parameters) -> str:
    steps = ", ".join(step.name for step in plan.steps)
    gated = [*parameters.at_least, *parameters.at_most]
    gate = f"gate on {', '.join(each.of for each in gated)}" if gated else "no gate, as promotion.thresholds is empty"
    maker = plan.pipeline.maker(Role.CONSENT)
    if plan.settings.privacy.registry is not None and maker not in [step.stage for step in plan.steps]:
        gate += "; consent as in the snapshot of this commit, because jobs do not reach the registry"
    named = ", ".join(f"{each.name}={each.default}" for each in parameters.all)
    return f"pipeline {plan.name} of commit {plan.commit[:12]}: {steps}; {gate}; parameters {named}."


def _show_listed(found: list[dict[str, Any]], *, as_json: bool) -> None:
    rows = [{"arn": each["PipelineExecutionArn"], "status": each["PipelineExecutionStatus"]} for each in found]
    if as_json:
        print_answer(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['arn'].rpartition('/')[2]}  {row['status']}")
    if not rows:
        raise DispatchError("the pipeline has no execution. `lineage pipeline start` starts one.")
