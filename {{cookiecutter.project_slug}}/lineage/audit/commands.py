"""The commands `lineage audit ...`. Exit status: 0 for a good answer, 1 for a bad one, 2 where it is unknown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.errors import ProjectError
from ..base.printable import printable
from ..base.project import project_root
from ..base.terminal import block
from ..records.ids import fault_of_id, normalize_nfc
from ..records.moments import read_moment

if TYPE_CHECKING:
    from ..proof.case import Evidence

app = typer.Typer(
    help="Who is in which model, and who is not.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of subjects.")]
File = Annotated[Path | None, typer.Option("--file", metavar="IDS", help="A file with one id in each line.")]
Alone = Annotated[bool, typer.Option("--without-mlflow", help="Ask Git and DVC alone, and say so in the answer.")]
Json = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]


@app.command()
def subject(ids: Ids = None, file: File = None, alone: Alone = False, as_json: Json = False) -> None:
    """List every version, run and dataset version with records of these subjects.

    Exit status: 0, or 2 if some are unknown.
    """
    from . import questions
    from .show import show_subject

    with _conclusive():
        answer = questions.subject(_evidence(alone=alone), _ids(ids, file))
    show_subject(answer, as_json=as_json)
    sys.exit(2 if answer.unknown or answer.unknown_ids else 0)


@app.command()
def excluded(
    since: Annotated[str, typer.Option("--since", help="2025-06-01 (midnight UTC), or 2025-06-01T12:00+02:00.")],
    ids: Ids = None,
    file: File = None,
    alone: Alone = False,
    as_json: Json = False,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="Write the proof as FILE.json and FILE.html.")
    ] = None,
) -> None:
    """Say whether none of these subjects is in anything made since. Exit status: 0 PASSED, 1 FAILED, 2 INCONCLUSIVE."""
    from . import exclusion
    from .show import show_exclusion

    if alone and certificate is not None:
        raise typer.BadParameter("a certificate covers MLflow too: leave out --without-mlflow")
    with _conclusive():
        evidence = _evidence(alone=alone)
        answer = exclusion.excluded(evidence, _ids(ids, file), _moment(since))
        written = []
        if certificate is not None:
            from .certificate import write

            written = write(evidence, answer, certificate)
    show_exclusion(answer, as_json=as_json)
    for path in written:
        print(f"written: {printable(str(path))}", file=sys.stderr if as_json else sys.stdout)
    sys.exit({"PASSED": 0, "FAILED": 1, "INCONCLUSIVE": 2}[answer.verdict])


@app.command()
def records(
    what: Annotated[str, typer.Argument(metavar="X", help="A model version, or the hash of a dataset version.")],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One row for each record, as CSV.")] = False,
) -> None:
    """Subjects and records of a model version, by split."""
    from . import questions
    from .show import show_records

    evidence = _evidence()
    found = questions.records(evidence, what)
    show_records(what, found, as_json=as_json, as_csv=as_csv)
    if erased := questions.erased_beside(evidence, found):
        print(f"{erased} subjects of it were erased: their records are not known any more.", file=sys.stderr)


@app.command()
def affected(alone: Alone = False, as_json: Json = False) -> None:
    """List what rests on records that may no longer be used, by the consent registry of this moment.

    Exit status: 0 nothing does, 1 something does, 2 unknown.
    """
    from . import questions
    from .show import show_affected

    with _conclusive():
        answer = questions.affected(_evidence(alone=alone))
    show_affected(answer, as_json=as_json)
    sys.exit(1 if answer.affected else 2 if answer.unknown else 0)


@app.command()
def check(
    certificate: Annotated[Path, typer.Argument(metavar="FILE", help="A certificate, as JSON.")], as_json: Json = False
) -> None:
    """Hold a certificate against Git, DVC and MLflow. Exit status: 0 it is as they say, 1 it is not, 2 unknown."""
    from .certificate import check as compare
    from .show import show_check

    with _conclusive():
        faults = compare(_evidence(), certificate)
    show_check(certificate, faults, as_json=as_json)
    sys.exit(bool(faults))


@contextmanager
def _conclusive() -> Iterator[None]:
    """Makes an answer that could not be found INCONCLUSIVE: status 1 would say that it was found, and is bad."""
    try:
        yield
    except typer.BadParameter:
        raise
    except Exception as error:
        known = isinstance(error, ProjectError)
        said = block(str(error) if known else f"{type(error).__name__}: {error}")
        print(f"lineage: INCONCLUSIVE: {said}", file=sys.stderr)
        sys.exit(2)


def _evidence(*, alone: bool = False) -> Evidence:
    from ..proof.case import Evidence

    evidence = Evidence(project_root())
    evidence.asks_mlflow = not alone
    return evidence


def _ids(given: list[str] | None, file: Path | None) -> list[str]:
    """The ids of the command line and of the file, each once, written as manifests write them."""
    ids = list(given or [])
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError(f"{file} cannot be read: {error}") from None
        ids += [line for line in lines if line]
    if not ids:
        raise typer.BadParameter("name a subject, or give --file")
    ids = list(dict.fromkeys(map(normalize_nfc, ids)))
    for subject_id in ids:
        if fault := fault_of_id(subject_id, "subject_id"):
            raise typer.BadParameter(f"{printable(repr(subject_id))} is {fault}, so no record can have it. Correct it.")
    return ids


def _moment(text: str) -> datetime:
    """A date means its first moment; without a zone, UTC is meant."""
    try:
        moment = read_moment(text)
    except ValueError as error:
        raise typer.BadParameter(printable(str(error))) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
