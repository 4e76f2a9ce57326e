"""The command `lineage`. Each sub-command imports what it uses inside itself, so that `lineage --help` is instant."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from .account.commands import cleanup
from .audit.commands import app as audit
from .base.collector import collect_rarely
from .base.errors import ProjectError
from .base.project import project_root
from .base.terminal import block, guard_output, print_answer
from .collection.commands import gc
from .compute.commands import jobs
from .compute.sagemaker.commands import app as aws
from .compute.sagemaker.pipelines.commands import app as pipeline
from .erasure.commands import erase
from .evidence.commands import attest, export
from .evidence.keys import app as keys
from .evidence.log_commands import app as log
from .judgement.commands import demote, history, promote
from .judgement.diff.command import diff
from .judgement.drift_command import drift
from .judgement.follow_up import FOLLOW_UPS
from .judgement.report.command import report
from .mirror.commands import ml_lineage, registry
from .mirror.follow_up import update_registry
from .proof.data_commands import app as data
from .serving.commands import batch, deploy, invoke, serve, status, undeploy

if TYPE_CHECKING:
    from .base.finding import Finding

WHAT = "models:/NAME/3, models:/NAME@candidate, a run id, a hash, a Git revision, an experiment, or a path."


class Form(StrEnum):
    """What `lineage restore --as` can make of a dataset version."""

    image_folder = "image_folder"


app = typer.Typer(
    help="From a registered model to the exact code, data, parameters and records that made it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help costs half a second
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.add_typer(audit, name="audit")
app.add_typer(data, name="data")
app.add_typer(aws, name="aws")
aws.command()(cleanup)
aws.add_typer(registry, name="registry")
aws.add_typer(ml_lineage, name="ml-lineage")
FOLLOW_UPS.append(update_registry)
app.add_typer(keys, name="keys")
app.add_typer(log, name="log")
app.add_typer(pipeline, name="pipeline")


@app.callback()
def _commands() -> None:
    """Makes typer keep sub-commands, however few there are."""


@app.command()
def compose(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides: train.lr=0.02, train=debug, ...")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether params.yaml is up to date.")] = False,
) -> None:
    """Compose conf/ into params.yaml without running anything."""
    from .chain.composition import compose_params, require_fresh_params
    from .dvc.dvcfile import PARAMS_FILE
    from .run.exposed import exposed_places
    from .settings import load_settings

    if check:
        require_fresh_params(project_root())
        return
    changes = compose_params(project_root(), overrides or [])
    shown = {key: change for key, change in changes.items() if key != "conf_digest"}
    for key, (old, new) in shown.items():
        print(f"{key}: {_value(old)} -> {_value(new)}")
    print(f"params.yaml composed; values changed: {len(shown)}. `dvc repro` runs what depends on them.")
    try:
        for place in exposed_places(project_root(), load_settings(project_root() / PARAMS_FILE)):
            print(f"warning: {place.text} Move it, or: {place.fix}", file=sys.stderr)
    except ProjectError as error:  # params.yaml is composed whatever Git says
        print(f"warning: {error}", file=sys.stderr)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON.")] = False,
    last_commit: Annotated[
        bool, typer.Option("--last-commit", help="Only whether the last result was committed whole: for the Git hook.")
    ] = False,
    environment: Annotated[
        bool, typer.Option("--environment", help="Read every installed file and compiled file instead: a minute.")
    ] = False,
) -> None:
    """Say what is wrong with this checkout, and the one command that fixes each thing.

    Exit status: 1 if something is wrong.
    """
    if environment:
        from .chain.environment import show_environment

        sys.exit(show_environment(project_root()))
    from .doctor.examine import examine, examine_last_commit

    findings = examine_last_commit(project_root()) if last_commit else examine(project_root())
    if as_json:
        print_answer(json.dumps([finding.__dict__ for finding in findings], indent=2))
    else:
        _show_findings(findings)
    sys.exit(any(finding.state == "wrong" for finding in findings))


@app.command()
def link(
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing where all is well.")] = False,
    install_hook: Annotated[
        bool, typer.Option("--install-hook", help="Only make Git call this after commits that need it.")
    ] = False,
) -> None:
    """Find the commits that hold each run's data and result, and write them into MLflow."""
    from .git.hook import install
    from .proof.link import link_project
    from .proof.show import show_linked

    if install_hook:
        said = install(project_root())
        if said and not quiet:
            print(said)
        return
    done = link_project(project_root())
    if not quiet:
        show_linked(done)


@app.command()
def trace(
    what: Annotated[str, typer.Argument(metavar="X", help=WHAT)],
    as_json: Annotated[bool, typer.Option("--json", help="The chain as JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the chain as an offline page.")] = None,
    proved: Annotated[
        bool, typer.Option("--verify", help="With --html: prove it first; the exit status is that of verify.")
    ] = False,
) -> None:
    """Show where a model comes from; for a dataset, a commit or a tag, every model made from it."""
    from .proof.case import Evidence
    from .proof.show import show_trace
    from .proof.targets import resolve
    from .proof.trace import trace

    if proved and not html:
        raise typer.BadParameter("--verify says what the page shows: give --html as well, or use `lineage verify`")
    if html:
        _write_page(what, html, proved=proved)
        return
    evidence = Evidence(project_root(), shared=True)
    show_trace(trace(evidence, resolve(evidence, what)), as_json=as_json)


def _write_page(what: str, html: Path, *, proved: bool) -> None:
    from .proof.case import Evidence
    from .proof.page import write_page
    from .proof.targets import resolve
    from .proof.verify import exit_code, verify

    evidence = Evidence(project_root(), shared=True)
    try:
        target = resolve(evidence, what)
        verdicts = [verify(case) for case in target.cases] if proved else []
        write_page(evidence, target, html, verdicts)
    except Exception as error:
        if proved:
            _say_inconclusive(error)
        raise
    print(f"written: {html}")
    for verdict in verdicts:
        print(f"{verdict.model}  {verdict.state}  {verdict.sentence}")
    if proved:
        sys.exit(exit_code(verdicts))


def _say_inconclusive(error: Exception) -> NoReturn:
    """Status 1 would say that something was disproved."""
    known = isinstance(error, ProjectError)
    said = block(str(error) if known else f"{type(error).__name__}: {error}")
    print(f"lineage: INCONCLUSIVE: {said}", file=sys.stderr)
    sys.exit(2)


@app.command()
def verify(
    models: Annotated[list[str] | None, typer.Argument(metavar="X", help=WHAT)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every version of this project.")] = False,
    rehash: Annotated[bool, typer.Option("--rehash", help="Read every object of the DVC remote.")] = False,
    once_more: Annotated[bool, typer.Option("--reproduce", help="Make the model once more as well.")] = False,
    here: Annotated[bool, typer.Option("--here", help="With --reproduce: in this Python environment.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the answer as a page to print, too.")] = None,
) -> None:
    """Prove where a model comes from, link by link. Exit status: 0 proved, 1 disproved, 2 unknown, 3 erased."""
    from .proof.asked import prove
    from .proof.case import Evidence
    from .proof.show import show_verdicts
    from .proof.verify import Remake, exit_code

    if every == bool(models):
        raise typer.BadParameter("name a model, or give --all")
    if here and not once_more:
        raise typer.BadParameter("--here says where --reproduce works: give both")
    how: Remake = "no" if not once_more else "here" if here else "fresh"
    try:
        evidence = Evidence(project_root(), shared=not every)
        proof = prove(evidence, models or [], every=every, rehash=rehash, remake=how)
        if html is not None:
            from .proof.verdict_page import write_verdicts

            write_verdicts([*proof.verdicts], "every version" if every else ", ".join(models or []), proof.scope, html)
    except Exception as error:
        _say_inconclusive(error)
    show_verdicts([*proof.verdicts], proof.scope, [*proof.retired], as_json=as_json)
    sys.exit(exit_code([*proof.verdicts]))


@app.command()
def retire(
    what: Annotated[str, typer.Argument(metavar="X", help="models:/NAME/3 or models:/NAME@ALIAS.")],
    reason: Annotated[str, typer.Option("--reason", help="Why nobody has to prove it any more.")],
) -> None:
    """Leave a version out of `verify --all`, with a reason that Git keeps. Audits go on counting it."""
    from .proof.case import Evidence
    from .proof.retired import retire
    from .proof.targets import resolve

    root = project_root()
    cases = resolve(Evidence(root), what).cases
    if len(cases) != 1:
        raise ProjectError(f"{what} leads to {len(cases)} models. Name one version.")
    written = retire(cases[0], reason).relative_to(root)
    print(f"written: {written}. It counts once committed: git add {written} && git commit")


@app.command()
def restore(
    what: Annotated[str, typer.Argument(metavar="X", help=WHAT)],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="An empty folder, or one that does not exist.")],
    data_only: Annotated[bool, typer.Option("--data-only", help="Leave out code and model.")] = False,
    form: Annotated[Form | None, typer.Option("--as", help="The images as files, to look at.")] = None,
) -> None:
    """Bring back the exact code, data and model, or the bytes of a hash. The workspace is not touched."""
    from .proof.case import Evidence
    from .proof.restore import export_images, restore

    evidence = Evidence(project_root())
    done = export_images(evidence, what, to) if form else restore(evidence, what, to, data_only=data_only)
    for path, md5 in done.hashes.items():
        print(f"{md5}  {path}")
    where = f" at {done.commit[:12]}" if done.commit else ""
    print(f"restored to {to}{where}; every hash was recomputed.")


@app.command()
def reproduce(
    what: Annotated[str, typer.Argument(metavar="X", help=WHAT)],
    to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help="Work there, and keep it.")] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Use this Python environment if it is as the lock says.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """Rebuild a model and compare. Exit status: 0 bit-identical, 1 different, 2 it could not be rebuilt."""
    from .proof.case import Evidence
    from .proof.reproduce import reproduce_into
    from .proof.show import show_comparison
    from .proof.targets import resolve

    try:
        evidence = Evidence(project_root())
        cases = resolve(evidence, what).cases
        if len(cases) != 1:
            raise ProjectError(f"{what} leads to {len(cases)} models. Name one version.")
        comparison = reproduce_into(evidence, cases[0], to, here=here)
    except ProjectError as error:
        print(f"lineage: {block(str(error))}", file=sys.stderr)
        sys.exit(2)
    show_comparison(cases[0].title, comparison, as_json=as_json)
    sys.exit(not comparison.is_identical)


app.command()(drift)
app.command()(diff)
app.command()(report)
app.command()(promote)
app.command()(demote)
app.command()(history)
app.command()(serve)
app.command()(deploy)
app.command()(invoke)
app.command()(status)
app.command()(undeploy)
app.command()(batch)
app.command()(erase)
app.command()(gc)
app.command()(attest)
app.command()(export)
app.command()(jobs)


def main() -> None:
    """The entry point: a mistake is reported in a sentence, without a traceback."""
    collect_rarely()
    options = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    guard_output(answers_alone="--json" in options)
    try:
        app()
    except ProjectError as error:
        print(f"lineage: {block(str(error))}", file=sys.stderr)
        sys.exit(1)


def _show_findings(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape

    marks = {"right": "[green]ok[/]   ", "unknown": "[yellow]?[/]    ", "wrong": "[red]wrong[/]"}
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(f"{marks[finding.state]} [bold]{finding.check}[/]  {escape(finding.text)}")
        if finding.fix:
            console.print(f"        -> [cyan]{escape(finding.fix)}[/]")


def _value(value: object) -> str:
    return "(none)" if value is None else str(value)


if __name__ == "__main__":
    main()
