"""The commands `lineage data ...`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..base.errors import ProjectError
from ..base.project import project_root
from ..base.terminal import block

app = typer.Typer(
    help="Dataset versions by name, and in the remote.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def push(
    every: Annotated[bool, typer.Option("--all-commits", help="Also what any dvc.lock in Git records.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was done, as JSON.")] = False,
) -> None:
    """Bring the DVC remote all that dvc.lock records, each object looked up. Exit status 1 if one cannot be had."""
    from .case import Evidence
    from .data_push import push as push_all
    from .show import show_pushed

    done = push_all(Evidence(project_root()), every=every)
    show_pushed(done, as_json=as_json)
    sys.exit(bool(done.lacking))


@app.command()
def pull(as_json: Annotated[bool, typer.Option("--json", help="What was done, as JSON.")] = False) -> None:
    """Bring all that dvc.lock records from the DVC remote, each object hashed. Exit status 1 if one cannot be had."""
    from .case import Evidence
    from .data_pull import pull as pull_all
    from .show import show_pulled

    done = pull_all(Evidence(project_root()))
    show_pulled(done, as_json=as_json)
    sys.exit(bool(done.lacking))


@app.command()
def tag(
    name: Annotated[str, typer.Argument(metavar="NAME", help="v1.0 makes the Git tag data/v1.0.")],
    message: Annotated[str | None, typer.Option("--message", "-m", help="What the tag says.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was done, as JSON.")] = False,
) -> None:
    """Name the committed dataset version by a Git tag, push its objects and the tag, and tell MLflow."""
    from .case import Evidence
    from .data_tag import tag_dataset
    from .link import link_project
    from .show import show_tagged

    root = project_root()
    done = tag_dataset(Evidence(root), name, message)
    show_tagged(done, as_json=as_json)
    try:
        link_project(root)  # with look-ups of its own: the tag is new
    except ProjectError as error:
        print(
            f"lineage: MLflow does not know of {done.tag} yet: {block(str(error))} `lineage link` tells it.",
            file=sys.stderr,
        )
