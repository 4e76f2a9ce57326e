"""The command `lineage gc`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ..base.errors import ProjectError
from ..base.project import project_root
from ..base.terminal import block

if TYPE_CHECKING:
    from .plan import Plan, Wanted

REASON = 1000  # characters


def gc(
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Say what may go, and what could not be proved then. Nothing is deleted.")
    ] = False,
    do_it: Annotated[
        bool, typer.Option("--execute", help="Delete what was planned, and is needed by nothing yet.")
    ] = False,
    cloud: Annotated[bool, typer.Option("--cloud", help="Also in the DVC remote.")] = False,
    days: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", help="What was put there in the last days stays.")
    ] = 30.0,
    past: Annotated[
        bool, typer.Option("--past", help="Also what only earlier commits and runs name: their models end.")
    ] = False,
    alone: Annotated[
        bool, typer.Option("--alone", help="No other project keeps objects in the same remote or cache.")
    ] = False,
    projects: Annotated[
        list[str] | None, typer.Option("--project", metavar="FOLDER", help="A clone of another one that does.")
    ] = None,
    certificates: Annotated[
        list[Path] | None,
        typer.Option("--certificate", metavar="FILE", help="One that is not in Git: what it names stays."),
    ] = None,
    accept_lost: Annotated[
        bool, typer.Option("--accept-lost", help="What is nowhere to be found counts as gone.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="With --execute: for the record in Git.")] = "storage",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The plan, or what was done, as JSON.")] = False,
) -> None:
    """Delete objects of DVC that nothing needs. Exit status: 0, 1 you said no, 2 unknown, or something is left."""
    from .plan import Wanted

    if plan_only == do_it:
        raise typer.BadParameter("give either --plan or --execute")
    # whole paths: --execute may run in another folder
    others = tuple(str(Path(folder).absolute()) for folder in projects or ())
    shown = tuple(str(path.absolute()) for path in certificates or ())
    wanted = Wanted(days, cloud, past, alone, accept_lost, others, shown)
    if do_it and wanted != Wanted():
        raise typer.BadParameter("--execute does what --plan has said: give --plan the other options")
    if len(reason) > REASON:
        raise typer.BadParameter(f"a reason has at most {REASON} characters")
    try:
        _execute(reason, ask=not yes, as_json=as_json) if do_it else _plan(wanted, as_json=as_json)
    except ProjectError as error:
        print(f"lineage: INCONCLUSIVE, nothing was deleted: {block(str(error))}", file=sys.stderr)
        sys.exit(2)


def _plan(wanted: Wanted, *, as_json: bool) -> None:
    from ..proof.case import Evidence
    from .plan import make, note
    from .show import show_plan

    evidence = Evidence(project_root())
    plan = make(evidence, wanted)
    note(evidence, plan)
    show_plan(plan, as_json=as_json)
    sys.exit(0 if plan.is_known else 2)


def _execute(reason: str, *, ask: bool, as_json: bool) -> NoReturn:
    from ..proof.case import Evidence
    from .execute import execute
    from .plan import noted
    from .show import show_done, show_plan

    planned = noted(Evidence(project_root()))
    if not as_json or not planned.is_known:
        show_plan(planned, as_json=as_json)
    if not planned.is_known:
        sys.exit(2)
    if planned.going and ask and not typer.confirm(_question(planned), err=True):
        sys.exit("nothing was deleted.")
    done = execute(Evidence(project_root()), planned, reason)  # as all is by now, after the answer
    show_done(done, as_json=as_json)
    sys.exit(0 if done.is_whole else 2)


def _question(planned: Plan) -> str:
    ends = f" {len(planned.ends)} models could not be proved any more." if planned.ends else ""
    return f"Delete {len(planned.going)} objects for good?{ends}"
