"""The commands that decide.

Exit status of a decision: 0 promoted, 1 refused, 2 inconclusive or not to be looked at, 3 promoted and a follow-up
failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.errors import ProjectError, PromotionError
from ..base.project import project_root
from ..base.terminal import block

if TYPE_CHECKING:
    from .promote import Outcome

ToAlias = Annotated[str, typer.Option("--to", metavar="ALIAS", help="One of promotion.aliases.")]
Accepts = Annotated[
    list[str] | None,
    typer.Option("--accept", metavar="'GATE: REASON'", help="Lets a gate pass that is INCONCLUSIVE; GATE may be all."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Ask every gate, and decide nothing.")]
Model = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Decisions about this name; else tracking.model_name.")
]
Json = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]


def promote(
    what: Annotated[
        str | None, typer.Argument(metavar="X", help="A version: models:/NAME/3, models:/NAME@candidate, a revision.")
    ] = None,
    to: ToAlias = "champion",
    accept: Accepts = None,
    as_decided: Annotated[
        bool, typer.Option("--as-decided", help="Without X: bring the alias to where the last decision puts it.")
    ] = False,
    model: Model = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a version an alias if its gates let it.

    Exit status: 0 promoted, 1 refused, 2 inconclusive, 3 promoted, and a follow-up failed.
    """
    if as_decided == (what is not None):
        raise typer.BadParameter("name a version, or give --as-decided")
    if as_decided and accept:
        raise typer.BadParameter("--as-decided asks no gate, so there is nothing to accept")
    if model and not as_decided:
        raise typer.BadParameter("--model is for --as-decided: a version that is named has its model's name")

    def decide() -> Outcome:
        from ..proof.case import Evidence
        from ..proof.decision import GATES
        from . import promote as deciding
        from .accept import parse_accept

        evidence = Evidence(project_root())
        if what is None:
            return deciding.as_decided(evidence, to, model=model, dry_run=dry_run)
        reasons = [parse_accept(text, GATES) for text in accept or []]
        return deciding.promote(evidence, what, to, reasons, dry_run=dry_run)

    _answer(decide, as_json=as_json, dry_run=dry_run)


def demote(
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="One of promotion.aliases.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; Git keeps it.")],
    nobody: Annotated[bool, typer.Option("--nobody", help="Take the alias away; no version has it then.")] = False,
    accept: Accepts = None,
    model: Model = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give an alias back to the version that had it before. Exit status as that of promote."""

    def decide() -> Outcome:
        from ..proof.case import Evidence
        from ..proof.decision import GATES
        from . import promote as deciding
        from .accept import parse_accept

        reasons = [parse_accept(text, GATES) for text in accept or []]
        evidence = Evidence(project_root())
        return deciding.demote(evidence, alias, reason, reasons, model=model, nobody=nobody, dry_run=dry_run)

    _answer(decide, as_json=as_json, dry_run=dry_run)


def history(
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="champion, for example.")] = "champion",
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Who had an alias when, and who decided so. Exit status: 0 as decided, 1 not as decided, 2 unknown."""
    from .history import history as show_history

    try:
        status = show_history(project_root(), alias, model, as_json=as_json)
    except ProjectError as error:  # status 1 would say that it is not as decided
        print(f"lineage: INCONCLUSIVE: {block(str(error))}", file=sys.stderr)
        sys.exit(2)
    sys.exit(status)


def _answer(decide: Callable[[], Outcome], *, as_json: bool, dry_run: bool) -> None:
    from .follow_up import follow_up
    from .show import show_outcome

    try:
        outcome = decide()
    except ProjectError as error:  # only a refusal is a refusal: what could not be looked at says nothing
        refused = isinstance(error, PromotionError)
        said = block(str(error) + (f"\n-> {error.fix}" if error.fix else ""))
        print(f"lineage: {'refused' if refused else 'INCONCLUSIVE'}: {said}", file=sys.stderr)
        sys.exit(1 if refused else 2)
    if outcome.is_settled and not dry_run:
        outcome.follow_ups = follow_up(project_root(), outcome.model, outcome.alias)
    show_outcome(outcome, as_json=as_json)
    sys.exit(outcome.status)
