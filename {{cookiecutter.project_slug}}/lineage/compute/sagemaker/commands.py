"""The commands `lineage aws ...`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...base.errors import DispatchError, ProjectError
from ...base.printable import printable
from ...base.project import project_root
from ...base.terminal import print_answer

if TYPE_CHECKING:
    from ...settings import Settings
    from .aws import Aws
    from .mlflow_app import App, Apps
    from .settings import SageMakerSettings

CONTEXT = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    help="What this project has in AWS.", no_args_is_help=True, rich_markup_mode=None, context_settings=CONTEXT
)
mlflow = typer.Typer(
    help="An MLflow server that AWS runs: an app of SageMaker's.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=CONTEXT,
)
app.add_typer(mlflow, name="mlflow")


def _account() -> tuple[Settings, Aws]:
    from ...dvc.dvcfile import PARAMS_FILE
    from ...settings import load_settings
    from .aws import Aws

    settings = load_settings(project_root() / PARAMS_FILE)
    return settings, Aws.of(settings)


def _apps() -> tuple[Settings, SageMakerSettings, Apps]:
    from .mlflow_app import Apps

    settings, aws = _account()
    return settings, aws.settings, Apps(aws, settings.project_id)


@app.command("warm-pools")
def warm_pools(
    end: Annotated[bool, typer.Option("--end", help="Give back the instances that wait for a job.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The list as JSON.")] = False,
) -> None:
    """Show the instances that are kept warm for this project's next training, and what they have cost."""
    from .warm_pools import give_back, open_pools

    settings, aws = _account()
    found = open_pools(aws, settings.project_id)
    if as_json:
        print_answer(json.dumps([asdict(pool) for pool in found], indent=2))
    for pool in found:
        if not as_json:
            print(printable(pool.text))
        if end and pool.status == "Available":
            give_back(aws, pool)
            print(printable(f"{pool.job}: its instances are given back."), file=sys.stderr)
    if not found and not as_json:
        print(f"no instances are kept warm for this project in {aws.region}.")


@mlflow.command()
def create(
    name: Annotated[
        str | None, typer.Option("--name", help="Of the app; else after the model and the project.")
    ] = None,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ARN", help="That the app works as; else compute.sagemaker.role.")
    ] = None,
    artifacts: Annotated[
        str | None,
        typer.Option("--artifacts", metavar="S3", help="Where artifacts go; else mlflow/ in compute.sagemaker.bucket."),
    ] = None,
    registers: Annotated[
        bool, typer.Option("--register", help="Let the app copy each version to SageMaker's registry by itself.")
    ] = False,
) -> None:
    """Make an MLflow app for this project, and wait until it is ready. Made once, however often it is called."""
    from .mlflow_app import default_name

    settings, section, apps = _apps()
    role = role or section.role
    if role is None:
        raise DispatchError("an app works as an IAM role. Give --role, or set compute.sagemaker.role.")
    if artifacts is None and section.bucket is None:
        raise DispatchError("an app keeps artifacts in S3. Give --artifacts, or set compute.sagemaker.bucket.")
    place = artifacts or f"s3://{section.bucket}/{section.prefix}/mlflow"
    wanted = name or default_name(settings.tracking.model_name, settings.project_id)
    made = apps.create(wanted, role, place, registers=registers)
    print(printable(f"{made.arn} is {made.status}: MLflow {made.version}, artifacts in {made.artifacts}."))
    if settings.tracking.uri != made.arn:
        print(f"`lineage compose tracking.uri={printable(made.arn)}` keeps runs there, or for good: conf/tracking/.")


@mlflow.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False) -> None:
    """Show the MLflow apps of this project, and whether they answer. Exit status 1 if the one in use does not."""
    settings, _, apps = _apps()
    found = {one.arn: one for one in apps.own()}
    uri = settings.tracking.uri
    if ":mlflow-app/" in uri and uri not in found and (other := apps.find(uri)) is not None:
        found[uri] = other
    shown = [_state(one, uri) for one in found.values()]
    if ":mlflow-app/" in uri and uri not in found:
        shown.append({"arn": uri, "status": "is not there", "in_use": True, "answer": None, "holds": None})
    if as_json:
        print_answer(json.dumps(shown, indent=2))
    else:
        for one in shown:
            print(_line(one))
        if not shown:
            print("this project has no MLflow app. `lineage aws mlflow create` makes one.")
    sys.exit(any(one["in_use"] and one["holds"] is None for one in shown))


def _state(one: App, uri: str) -> dict[str, Any]:
    holds, answer = None, None
    if one.is_ready:
        try:
            holds = _holds(one.arn)
        except ProjectError as error:
            answer = str(error)
    return {**asdict(one), "in_use": one.arn == uri, "answer": answer, "holds": holds}


def _holds(arn: str) -> dict[str, int]:
    """How much an app holds, asked as stages ask it. Raises TrackerError if it does not answer."""
    from ...git.anchor import main_root
    from ...tracking.pages import all_of
    from ...tracking.store import Store

    store = Store(arn, main_root(project_root()), "")
    with store.asked("list the experiments"):
        ask = store.client.search_experiments
        experiments = list(all_of(lambda token: ask(page_token=token)))
    return {"experiments": len(experiments), "model_versions": len(store.every)}


def _line(one: dict[str, Any]) -> str:
    mark = "  (tracking.uri)" if one["in_use"] else ""
    text = f"{one['arn']}  {one['status']}{mark}"
    if "version" in one:
        text += f"  MLflow {one['version']}, artifacts in {one['artifacts']}"
    if one["holds"] is not None:
        text += f"  answers: {one['holds']['experiments']} experiments, {one['holds']['model_versions']} model versions"
    if one["answer"]:
        text += f"  does not answer: {one['answer']}"
    return printable(text)


@mlflow.command()
def delete(
    arn: Annotated[str, typer.Argument(metavar="ARN", help="As `lineage aws mlflow status` shows it.")],
    sure: Annotated[
        bool, typer.Option("--yes", help="Delete it. Without this it is only said what goes with it.")
    ] = False,
) -> None:
    """Delete an MLflow app of this project, with its runs and its registry. Artifacts in S3 stay.

    Exit status: 0 it is being deleted, 1 it is not.
    """
    settings, _, apps = _apps()
    found = apps.find(arn)
    if found is None:
        raise DispatchError(f"there is no MLflow app {arn} in this account and region.")
    if not sure:
        held = _holds(arn) if found.is_ready else None
        what = (
            f"{held['experiments']} experiments, {held['model_versions']} model versions" if held else "what it holds"
        )
        print(
            printable(
                f"{arn} would be deleted with its runs and its registry: {what}. Artifacts in {found.artifacts} stay."
            )
        )
        print("Git and DVC keep every chain (`lineage verify lineage.json`), but no aliases and tags. --yes does it.")
        sys.exit(1)
    apps.delete(found)
    print(printable(f"{arn} is being deleted. Artifacts in {found.artifacts} stay."))
    if settings.tracking.uri == arn:
        print("tracking.uri names it: `lineage compose tracking.uri=...` before the next stage runs.")
