"""The commands `lineage aws registry ...` and `lineage aws ml-lineage ...`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.errors import ProjectError
from ..base.printable import printable
from ..base.project import project_root
from ..base.terminal import exit_inconclusive, print_answer

if TYPE_CHECKING:
    from ..proof.case import Evidence, ModelCase
    from .entries import Mirrored
    from .sync import Mirror

CONTEXT = {"help_option_names": ["-h", "--help"]}
registry = typer.Typer(
    help="SageMaker's Model Registry: a copy of the registered versions, approved as was decided.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=CONTEXT,
)
ml_lineage = typer.Typer(
    help="SageMaker's ML Lineage: a copy of the chain, to be asked there.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=CONTEXT,
)
Versions = Annotated[
    list[str] | None, typer.Argument(metavar="X", help="Versions: models:/NAME/3, a revision; else every version.")
]
Json = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]


@registry.command("sync")
def sync_registry(
    versions: Versions = None,
    as_decided: Annotated[
        bool, typer.Option("--as-decided", help="Also where somebody has set another status there.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Copy versions to the registry, approved as was decided. Exit status: 0, 1 not as decided, 2 not to be asked."""
    _show_registry(versions, as_json=as_json, as_decided=as_decided, dry_run=dry_run)


@registry.command("status")
def registry_status(versions: Versions = None, as_json: Json = False) -> None:
    """Compare the registry with versions and decisions. Exit status: 0 the same, 1 not, 2 not to be asked."""
    _show_registry(versions, as_json=as_json, as_decided=False, dry_run=True)


def _show_registry(versions: list[str] | None, *, as_json: bool, as_decided: bool, dry_run: bool) -> None:
    try:
        mirror = _mirror()
        done = mirror.sync(
            _cases(mirror.evidence, versions) or mirror.versions(), as_decided=as_decided, dry_run=dry_run
        )
    except ProjectError as error:
        exit_inconclusive(error)
    if as_json:
        print_answer(json.dumps(asdict(done), indent=2, ensure_ascii=False))
    else:
        _print(done, dry_run=dry_run)
    behind = dry_run and any(entry.done for entry in done.entries)
    sys.exit(int(behind) or done.status)


def _mirror() -> Mirror:
    from ..dvc.dvcfile import PARAMS_FILE
    from ..proof.case import Evidence
    from ..settings import load_settings
    from .sync import Mirror

    root = project_root()
    return Mirror(Evidence(root), load_settings(root / PARAMS_FILE))


def _cases(evidence: Evidence, versions: list[str] | None) -> list[ModelCase]:
    from ..judgement.judge import version_named

    return [version_named(evidence, each) for each in versions or []]


def _print(done: Mirrored, *, dry_run: bool) -> None:
    print(f"group {done.group} of the Model Registry: {len(done.entries)} versions and packages looked at.")
    for entry in done.entries:
        status = entry.status or "not there"
        print(printable(f"{entry.version}  {status}  {entry.arn}".rstrip() + (f"  ({entry.why})" if entry.why else "")))
        for text in entry.done:
            print(printable(f"  {'to do' if dry_run else 'done'}: {text}"))
        for text in entry.notes:
            print(printable(f"  {text}"))
        if entry.fault:
            print(printable(f"  wrong: {entry.fault}"))
    if done.others:
        print(f"packages in it that this project has not made, left alone: {done.others}")
    for fix in dict.fromkeys(entry.fix for entry in done.entries if entry.fix):
        print(printable(f"now: `{fix}`"))


@ml_lineage.command("sync")
def sync_ml_lineage(
    versions: Versions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is missing there.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the chain of versions to SageMaker's ML Lineage. Exit status: 0, 1 not all of it, 2 not to be asked."""
    try:
        mirror = _mirror()
        from .ml_lineage import copy, graph_of

        cases = _cases(mirror.evidence, versions) or mirror.versions()
        done = copy(graph_of(mirror.settings), cases, dry_run=dry_run)
    except ProjectError as error:
        exit_inconclusive(error)
    if as_json:
        print_answer(json.dumps(asdict(done), indent=2, ensure_ascii=False))
    else:
        state = "missing" if dry_run else "new"
        print(
            f"{len(done.versions)} versions: {done.entities} artifacts and actions, {len(done.made)} of them {state};"
        )
        print(f"{done.associations} associations, {done.new_associations} of them {state}.")
        for title, why in done.left_out.items():
            print(printable(f"left out: {title}: {why}"))
    sys.exit(int(bool(done.left_out) or (dry_run and bool(done.made or done.new_associations))))


@ml_lineage.command()
def query(
    what: Annotated[str, typer.Argument(metavar="X", help="A version, an MD5 of DVC's, or a Git revision.")],
    as_json: Json = False,
) -> None:
    """Ask SageMaker what led to X, and what came of it. Exit status: 2 if it cannot say."""
    try:
        mirror = _mirror()
        from .ml_lineage import ask, graph_of

        found = ask(mirror.evidence, graph_of(mirror.settings), what)
    except ProjectError as error:
        exit_inconclusive(error)
    if as_json:
        print_answer(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    print(printable(f"{found.asked}: {found.source}"))
    for title, vertices in (("led to it", found.led_to_it), ("came of it", found.came_of_it)):
        print(f"{title}: {len(vertices)}")
        for each in vertices:
            print(printable(f"  {each.type or each.kind}  {each.name}  {each.source}"))
    print("That is what was copied to SageMaker. `lineage verify` proves what is true.")
