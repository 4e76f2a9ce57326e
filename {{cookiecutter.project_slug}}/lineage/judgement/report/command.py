"""The command `lineage report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ...base.errors import ProjectError
from ...base.project import project_root
from ...base.terminal import block
from ..diff.command import SIDE

LONGEST = 60_000  # characters: GitHub takes 65,536 in a comment, and whoever posts this may put something around it


def report(
    a: Annotated[str, typer.Argument(metavar="A", help=SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; without, the last commit.")] = "HEAD",
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write it there; else it is printed.")] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Write the plots there, as SVG.")
    ] = None,
    pictures_at: Annotated[
        str | None, typer.Option("--pictures-at", metavar="URL", help="With --pictures: where readers find them.")
    ] = None,
    longest: Annotated[int, typer.Option("--longest", help="Characters; the end of the diff is left out.")] = LONGEST,
) -> None:
    """Say what a change does to the model, in Markdown: the comment of a pull request, without anybody's ids.

    Verdict, drift, slices, plots, cost of jobs, diff. Exit status: that of `lineage verify` about B.
    """
    from ...proof.case import Evidence
    from .page import page

    if pictures_at and not pictures:
        raise typer.BadParameter("--pictures-at says where the files of --pictures are found: give both")
    try:
        made = page(Evidence(project_root()), a, b, pictures_at or (str(pictures) if pictures else None), longest)
    except ProjectError as error:  # status 1 would say that something was disproved
        print(f"lineage: INCONCLUSIVE: {block(str(error))}", file=sys.stderr)
        sys.exit(2)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        for name, drawn in made.pictures.items():
            (pictures / name).write_text(drawn, encoding="utf-8")
    if to:
        to.write_text(made.text, encoding="utf-8")
        print(f"written: {to}", file=sys.stderr)
    else:
        print(made.text, end="")
    sys.exit(made.status)
