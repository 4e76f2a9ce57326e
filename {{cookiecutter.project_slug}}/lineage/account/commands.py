"""The command `lineage aws cleanup`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.printable import printable
from ..base.project import project_root
from ..base.terminal import print_answer
from .left import Also, Left

if TYPE_CHECKING:
    from .cleanup import Plan


def cleanup(
    plan_only: Annotated[
        bool, typer.Option("--plan", help="List it, with its cost, and what stays and why. Nothing is changed.")
    ] = False,
    do_it: Annotated[bool, typer.Option("--execute", help="Delete what nobody needs.")] = False,
    days: Annotated[float, typer.Option("--older-than", metavar="DAYS", help="What is of the last days stays.")] = 1.0,
    also: Annotated[
        list[Also] | None,
        typer.Option("--also", help="Of what somebody asked for: answers of batches, requests that endpoints kept."),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="Prices of yours: docs/sagemaker.md.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The list as JSON.")] = False,
) -> None:
    """List, or delete, what this project left in AWS. Exit status: 0, or 2 if something could not be deleted."""
    from ..proof.case import Evidence
    from .cleanup import execute, plan

    if plan_only == do_it:
        raise typer.BadParameter("give either --plan or --execute")
    aws, wanted = plan(Evidence(project_root()), days, also or [], prices)
    if as_json:
        print_answer(json.dumps({**asdict(wanted), "prices": wanted.prices.model_dump()}, indent=2))
    else:
        _show(wanted)
    if plan_only or not wanted.going:
        return
    if not yes and not typer.confirm(f"Delete these {len(wanted.going)} for good?", err=True):
        sys.exit("nothing was deleted.")
    failed = 0
    for item, error in execute(aws, wanted):
        print(f"deleted: {item.kind} {printable(item.name)}" if not error else f"left: {printable(error)}")
        failed += bool(error)
    sys.exit(2 if failed else 0)


def _show(wanted: Plan) -> None:
    from .prices import shown

    stay = [item for item in wanted.left if not item.goes]
    print(f"account {wanted.account}, {wanted.region}: {len(wanted.left)} things are of {wanted.project_id}.")
    for title, items in (("nobody needs", wanted.going), ("stay", stay)):
        if items:
            print(f"{title}:")
        for item in items:
            price = "" if item.usd_month == 0 and item.cost == "nothing" else f" ({shown(item.usd_month)})"
            why = f"; {item.kept}" if item.kept else ""
            print(f"  {item.kind} {printable(item.name)}: {printable(f'{item.cost}{price}{why}')}")
    if wanted.unseen:
        print("cannot be looked at, gone or not allowed (nothing that they may use is deleted):")
        for name in wanted.unseen:
            print(f"  {printable(name)}")
    _show_sums(wanted, stay)
    print(
        "Not looked at: other regions, what has no such tag, logs of endpoints that are gone (but for that of the "
        "settings), old versions of objects that are gone, the infrastructure itself (its stacks), and the DVC remote, "
        "which `lineage erase` clears. What it did cost: Cost Explorer, by the tag lineage:project_id."
    )


def _show_sums(wanted: Plan, stay: list[Left]) -> None:
    """What all of it costs a month, as far as that is known: what is not known is counted, and is in no sum."""
    from .prices import shown

    if not wanted.prices.as_of:
        print(f"Prices of {wanted.region} are not known here, and none is guessed. --prices FILE has yours.")
        return
    sums = [sum(item.usd_month for item in items if item.usd_month is not None) for items in (wanted.going, stay)]
    unknown = sum(item.usd_month is None for item in wanted.left)
    print(
        f"By prices of {wanted.region} as read {wanted.prices.as_of}: {shown(sums[0])} for what nobody needs, "
        f"{shown(sums[1])} for what stays; of {unknown} things the price is not known."
    )
