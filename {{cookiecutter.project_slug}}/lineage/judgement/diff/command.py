"""The command `lineage diff`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...base.project import project_root
from ...base.terminal import print_answer

if TYPE_CHECKING:
    from .difference import Difference

SIDE = "models:/NAME/3, models:/NAME@champion, an experiment, a Git revision, a run id, or `workspace`."


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; without, the workspace.")] = "workspace",
    patch: Annotated[bool, typer.Option("--patch", help="The code that differs, line by line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request: without anybody's ids.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one offline page.")] = None,
    no_images: Annotated[bool, typer.Option("--no-images", help="With --html: without images of records.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="DIR", help="Write the images of the records that differ.")
    ] = None,
) -> None:
    """Show what differs between two models, commits or the workspace: from code to single records.

    Exit status: 0 answered, 1 a side cannot be had, 2 images of records are lacking.
    """
    from ...proof.case import Evidence
    from .difference import difference
    from .show import markdown, show

    if as_json and as_markdown:
        raise typer.BadParameter("give either --json or --markdown")
    if no_images and not html:
        raise typer.BadParameter("--no-images says what --html writes: give both")
    found = difference(Evidence(project_root(), shared=True), a, b, patch=patch)
    if as_json:
        print_answer(json.dumps(found.document, indent=2, ensure_ascii=False))
    elif as_markdown:
        print(markdown(found.document), end="")
    elif not html and not export:
        show(found.document)
    lacking = _written(found, html, export, images=not no_images)
    for sentence in lacking:
        print(f"lacking: {sentence}", file=sys.stderr)
    sys.exit(2 if lacking else 0)


def _written(found: Difference, html: Path | None, export: Path | None, *, images: bool) -> list[str]:
    """Writes what is to be written. Returns of what no image could be had."""
    from . import images as of_records
    from .page import write_page

    lacking: list[str] = []
    if html:
        lacking += write_page(found, html, images=images)
        print(f"written: {html}", file=sys.stderr)
    if export:
        done = of_records.export(found, export)
        lacking += done.lacking
        print(
            f"written: {done.images} images in {export}. They are somebody's: keep them as the data.", file=sys.stderr
        )
    return lacking
