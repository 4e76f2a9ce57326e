"""The commands `lineage log ...`. Exit status: 0 all is as it was, 1 something is not, 2 it cannot be looked at."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.errors import DamageError, LineageError, ProjectError
from ..base.project import project_root
from ..base.terminal import block, print_answer

if TYPE_CHECKING:
    from ..proof.case import Evidence

app = typer.Typer(
    help="An append-only log of everything registered, decided, erased, attested and certified.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FIX = (
    "`git log -p --full-history -- log/entries.jsonl` shows which commit changed what, and who made it. Tell whoever "
    "keeps a head. `git checkout COMMIT -- log/entries.jsonl`, then `lineage log update`, goes on from the log of the "
    "last good commit"
)
MISSING = "`lineage log update` adds what HEAD, tags and earlier logs of this branch have"
Kept = Annotated[str, typer.Argument(metavar="HEAD", help="An earlier head that was kept: SIZE:ROOT.")]


@app.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """Without a command: print every entry, and the head to keep."""
    if context.invoked_subcommand is None:
        _show()


def _show() -> None:
    from .log import read_log
    from .merkle_log import head_of

    lines = read_log(project_root())
    for number, line in enumerate(lines, start=1):
        entry = json.loads(line)
        version = f"models:/{entry['model']}/{entry['version']}" if "model" in entry else ""
        what = block(entry.get("path") or version)
        print(f"{number:>5}  {entry['kind']:<10}  {entry['sha256'][:16]}  {what}".rstrip())
    print(f"head: {head_of(lines)}")


@app.command()
def update() -> None:
    """Add what HEAD and tags hold and the log does not, for a person to commit. On one branch only: main.

    Exit status: 0, or 1 if the log that is there is not as it was. What is missing is added all the same.
    """
    from .log import PATH, append, compare

    compared = compare(_evidence())
    head = append(project_root(), compared.missing) if compared.missing else compared.head
    print(f"entries added: {len(compared.missing)}. head: {head}")
    if compared.missing:
        print(f"They count once committed: git add {PATH} && git commit. Keep the head where nobody can change it.")
    _say_faults(compared.faults)
    sys.exit(bool(compared.faults))


@app.command()
def certify(
    certificate: Annotated[Path, typer.Argument(metavar="FILE", help="A certificate, as JSON.")],
) -> None:
    """Add the digest of a certificate. Nothing that it says gets into the log."""
    from .log import PATH, append, certified

    head = append(project_root(), [certified(certificate)])
    print(f"head: {head}")
    print(f"It counts once committed: git add {PATH} && git commit.")


@app.command()
def check(
    heads: Annotated[list[str] | None, typer.Argument(metavar="HEAD...", help="Earlier heads that were kept.")] = None,
) -> None:
    """Compare the log with every commit of it, with what Git holds, and with earlier heads.

    Exit status: 0 all is as it was, 1 something is not, 2 something is not in it yet, or it cannot be looked at.
    """
    from .log import compare, prove, read_log
    from .merkle_log import read_head

    kept = [read_head(text) for text in heads or []]
    with _conclusive():
        evidence = _evidence()
        evidence.history.require_complete()
        compared, lines = compare(evidence), read_log(project_root())
        for old in kept:
            try:
                prove(lines, old)
            except LineageError as error:
                compared.faults.append(f"head {old}: {error}")
    for note in compared.notes:
        print(f"note: {note}.")
    if compared.missing:
        compared.unknown.append(f"entries not in the log yet: {len(compared.missing)}. {MISSING}")
    for unknown in compared.unknown:
        print(f"INCONCLUSIVE: {unknown}.")
    _say_faults(compared.faults)
    if compared.faults or compared.unknown:
        sys.exit(1 if compared.faults else 2)
    held = (
        f"; {len(kept)} of {len(kept)} heads hold" if kept else ". Give a head that you kept: nothing else shows a fork"
    )
    print(f"PASS: {compared.head.size} entries, as every commit that HEAD comes from had them{held}.")
    print(f"head: {compared.head}")


@app.command()
def prove(old: Kept) -> None:
    """Print what proves to others that the log begins with that of an earlier head: scripts/check_log.py reads it."""
    from .log import prove as prove_from
    from .log import read_log
    from .merkle_log import read_head

    print_answer(json.dumps(prove_from(read_log(project_root()), read_head(old)), indent=2))


def _say_faults(faults: list[str]) -> None:
    for fault in faults:
        print(f"FAIL: {fault.removesuffix('.')}.")
    if faults:
        print(f"What to do now: {FIX}.")


@contextmanager
def _conclusive() -> Iterator[None]:
    """Damage is an answer; what cannot be looked at is none."""
    try:
        yield
    except DamageError as error:
        print(f"FAIL: {block(str(error))}")
        sys.exit(1)
    except ProjectError as error:
        print(f"lineage: INCONCLUSIVE: {block(str(error))}", file=sys.stderr)
        sys.exit(2)


def _evidence() -> Evidence:
    from ..proof.case import Evidence

    evidence = Evidence(project_root())
    evidence.asks_mlflow = False
    return evidence
