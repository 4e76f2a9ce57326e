"""The commands that serve a version. Exit status of a refusal: 1 it may not, 2 nobody can tell."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.errors import ProjectError
from ..base.printable import printable
from ..base.project import project_root
from ..base.terminal import exit_inconclusive, print_answer

if TYPE_CHECKING:
    from ..settings.params import Settings
    from .allowed import Permission

X = Annotated[str, typer.Argument(metavar="X", help="A version: models:/NAME/3, models:/NAME@champion, a revision.")]
Accept = Annotated[
    str | None,
    typer.Option("--accept", metavar="REASON", help="Lets through what is INCONCLUSIVE. Nothing lets a FAIL through."),
]

Name = Annotated[
    str | None, typer.Option("--endpoint", metavar="NAME", help="An endpoint; else that of serving.endpoint.name.")
]
Json = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]


def serve(
    what: X,
    accept: Accept = None,
    host: Annotated[str, typer.Option("--host", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.")] = 8080,
) -> None:
    """Answer requests on this machine with a version that is proved. Exit status: 1 refused, 2 inconclusive."""
    permission = _permitted(what, accept)
    from .here import serve_here

    serve_here(permission, host, port)


def deploy(
    what: X,
    endpoint: Name = None,
    accept: Accept = None,
    canary: Annotated[
        int | None,
        typer.Option("--canary", metavar="PERCENT", help="This many percent first; all of them if no alarm goes off."),
    ] = None,
) -> None:
    """Let an endpoint of SageMaker answer with a version that is proved. Exit status: 1 it does not, 2 inconclusive."""
    from .endpoint import endpoint_name

    name = endpoint_name(_settings(), endpoint)
    permission = _permitted(what, accept)
    from .deploy import deploy as deploying

    done = deploying(permission, name, canary, _tell)
    print(printable(done.text))
    sys.exit(not done.is_done)


def undeploy(
    endpoint: Name = None,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="It is in no account and region any more: only take its name from the versions."),
    ] = False,
) -> None:
    """Delete an endpoint of this project, and what it ran."""
    from ..proof.case import Evidence
    from .endpoint import endpoint_name
    from .undeploy import undeploy as deleting

    settings, evidence = _settings(), Evidence(project_root(), shared=True)
    print(printable(deleting(evidence, settings, endpoint_name(settings, endpoint), _tell, forget=forget)))


def invoke(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Images, or JSON of several.")],
    endpoint: Name = None,
) -> None:
    """Ask an endpoint about files: a line of JSON for each. Exit status: 1 if one was not answered."""
    from ..compute.sagemaker.aws import Aws
    from .endpoint import endpoint_name
    from .invoke import invoke as asking

    settings, faults = _settings(), 0
    for said in asking(Aws.of(settings), endpoint_name(settings, endpoint), files):
        faults += bool(said.fault)
        line = {"file": said.file, "error": said.fault} if said.fault else {"file": said.file, "which": said.which}
        print_answer(json.dumps(line if said.fault else {**line, "answer": said.answer}))
    sys.exit(bool(faults))


def status(as_json: Json = False) -> None:
    """List this project's endpoints, and where they are not as the versions say. Exit status: 1 if one is not."""
    from ..proof.case import Evidence
    from .show import show_standing
    from .status import standing

    found = standing(Evidence(project_root(), shared=True), _settings())
    if as_json:
        print_answer(json.dumps([asdict(each) for each in found], indent=2))
    else:
        show_standing(found)
    sys.exit(any(each.faults for each in found))


def batch(
    what: X,
    given: Annotated[str, typer.Option("--input", metavar="s3://...", help="Each object below it is one request.")],
    output: Annotated[str, typer.Option("--output", metavar="s3://...", help="Where answers go: an empty place.")],
    kind: Annotated[str, typer.Option("--type", help="Media type of the objects.")] = "application/x-image",
    accept: Accept = None,
) -> None:
    """Answer all objects below an S3 address, by a batch transform. Exit status: 1 not all of them, 2 inconclusive."""
    permission = _permitted(what, accept)
    from .batch import batch as transforming

    done = transforming(permission, given, output, kind, _tell)
    print(printable(done.text))
    sys.exit(not done.is_done)


def _settings() -> Settings:
    from ..dvc.dvcfile import PARAMS_FILE
    from ..settings import load_settings

    return load_settings(project_root() / PARAMS_FILE)


def _tell(line: str) -> None:
    print(printable(line), flush=True)


def _permitted(what: str, reason: str | None) -> Permission:
    """Ends the command where the version may not serve, or where nobody can tell."""
    from ..proof.case import Evidence
    from .allowed import ask_permission
    from .show import show_permission

    try:
        permission = ask_permission(Evidence(project_root(), shared=True), what, reason)
    except ProjectError as error:  # only a refusal is a refusal: what could not be looked at says nothing
        exit_inconclusive(error)
    show_permission(permission)
    if permission.state != "PASS":
        sys.exit(1 if permission.state == "FAIL" else 2)
    return permission
