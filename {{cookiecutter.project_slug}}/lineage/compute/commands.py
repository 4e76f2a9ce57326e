"""The command `lineage jobs`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from ..base.errors import ProjectError
from ..base.printable import printable
from ..base.project import project_root
from ..base.terminal import print_answer


def jobs(
    stop: Annotated[bool, typer.Option("--stop", help="Stop the jobs that nobody waits for.")] = False,
    forget: Annotated[
        str | None, typer.Option("--forget", metavar="NAME", help="Take one out of the notes that you know to be over.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files that would go to a job. Nothing is sent.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The list as JSON.")] = False,
) -> None:
    """List the jobs and runs that were begun here and are not over. Exit status: 1 if nobody waits for one of them."""
    if stop + bool(forget) + dry_run > 1:
        raise typer.BadParameter("give one of --stop, --forget and --dry-run")
    if dry_run:
        _show_files(as_json=as_json)
        return
    from ..git.anchor import main_root
    from . import aftercare

    main = main_root(project_root())
    if forget:
        if not aftercare.forget(main, forget):
            raise ProjectError(f"no open job or run is called {forget!r}. `lineage jobs` lists them.")
        print(f"{printable(forget)} is forgotten.")
        return
    found = aftercare.look_after(main, stop=stop)
    if as_json:
        print_answer(json.dumps([asdict(item) for item in found], indent=2))
    else:
        for item in found:
            print(f"{printable(item.name)}  {printable(item.text)}")
        if not found:
            print("no job and no run that was begun here is open.")
    sys.exit(any(item.is_open and not item.is_followed for item in found))


def _show_files(*, as_json: bool) -> None:
    from ..dvc.dvcfile import read_pipeline
    from .snapshot import Snapshot

    root = project_root()
    sizes = {name: (root / name).stat().st_size for name in Snapshot(root, read_pipeline(root)).names}
    if as_json:
        print_answer(json.dumps(sizes, indent=2))
        return
    for name, size in sizes.items():
        print(f"{size:>10}  {printable(name)}")
    print(f"{len(sizes)} files, {sum(sizes.values())} bytes, would go to a job; and the inputs of its stage, by DVC.")
