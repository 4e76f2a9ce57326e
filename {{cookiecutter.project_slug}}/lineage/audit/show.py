"""Audits for people and for programs."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..base.printable import printable
from ..base.terminal import print_answer
from ..proof.show import WIDTH
from .exclusion import Exclusion
from .manifests import ERASED, Record
from .questions import AffectedAnswer, SubjectAnswer
from .use import Use

BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")  # below it, JSON writes controls out
COLOURS = {"PASSED": "green", "FAILED": "red", "INCONCLUSIVE": "yellow"}
SOME = 5  # differences that are shown
RETRAIN = "dvc repro && git add -A && git commit -m 'Without withdrawn subjects' && dvc push && lineage link"


def as_data(value: Any) -> Any:
    """An answer as plain data: what JSON can hold. Sets are sorted, moments in ISO 8601."""
    if isinstance(value, Record):
        return value._asdict()
    if is_dataclass(value) and not isinstance(value, type):
        return {key: as_data(item) for key, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {key: as_data(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def show_subject(answer: SubjectAnswer, *, as_json: bool) -> None:
    if as_json:
        return _print_json(answer)
    console = _console()
    if answer.uses:
        _print_table(_table_of_uses(answer.uses))
    held: dict[tuple[str, str], list[Record]] = {}
    for record in answer.records:
        held.setdefault((record.dataset, record.subject_id), []).append(record)
    for (dataset, subject_id), found in sorted(held.items()):
        shown = f"{len(found)} records: {', '.join(one.record_id for one in found)}"
        if all(one.content_sha256 == ERASED for one in found):
            shown = "records that were erased; how many is not known any more"
        console.print(f"dataset {dataset}  {_safe(subject_id)}  {_safe(shown)}")
    _show_deployed(console, answer.uses)
    kinds = Counter(use.kind for use in answer.uses)
    console.print(
        f"[bold]{_safe(', '.join(answer.ids))}[/]: in {kinds['version']} of {answer.looked_at['versions']} versions, "
        f"{kinds['run']} of {answer.looked_at['runs']} runs, "
        f"{len({record.dataset for record in answer.records})} of {answer.looked_at['dataset versions']} dataset "
        f"versions ({_safe(answer.scope)})."
    )
    _show_git(console, answer.looked_at, answer.differences)
    for subject_id in answer.unknown_ids:
        console.print(f"[yellow]no manifest and no consent registry has ever held the id {_safe(repr(subject_id))}.[/]")
    _show_unknown(console, answer.unknown, "more may have used them")
    return None


def show_exclusion(answer: Exclusion, *, as_json: bool) -> None:
    if as_json:
        return _print_json(answer)
    console = _console()
    if answer.after:
        _print_table(_table_of_uses(answer.after, {use.name for use, _ in answer.found}))
    _show_deployed(console, [use for use, _ in answer.found])
    for use in answer.without_model:
        console.print(f"left no model, not counted: {_safe(f'{use.title}, {use.state.lower()}')}")
    for record in answer.copies:
        console.print(
            f"[yellow]the content of one of their records is also record {_safe(record.record_id)} of "
            f"{_safe(record.subject_id)} in dataset {record.dataset}.[/]"
        )
    seen = answer.looked_at
    console.print(
        f"since {answer.since.isoformat()} (zone {answer.since.tzname()}): {seen['made since']} versions and runs on "
        f"{seen['dataset versions since']} dataset versions, of {seen['versions']} versions and {seen['runs']} runs in "
        f"all ({_safe(answer.scope)}); {answer.controls} of {seen['dataset versions since']} controls found."
    )
    _show_git(console, seen, answer.differences)
    for reason in answer.reasons:
        console.print(f"  {_safe(reason)}")
    alike = ""
    if answer.copies and answer.verdict == "PASSED":
        alike = f" for these ids; records with the same content that are in under other ids: {len(answer.copies)}"
    shown = f"[{COLOURS[answer.verdict]}]{answer.verdict}[/]{alike}"
    console.print(f"[bold]{_safe(', '.join(answer.ids))}[/] excluded: {shown}")
    return None


def show_records(asked: str, found: list[Record], *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        return _print_json(found)
    if as_csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(Record._fields)
        # a file gets the ids as they are, a terminal in a way that it cannot obey
        written = printable if sys.stdout.isatty() else str
        table.writerows([written(value) for value in record] for record in found)
        return None
    console, table_ = _console(), Table("split", "subjects", "records", box=None, pad_edge=False)
    for split in dict.fromkeys(record.split for record in found):
        chosen = [record for record in found if record.split == split]
        table_.add_row(_safe(split), str(len({record.subject_id for record in chosen})), str(len(chosen)))
    _print_table(table_)
    console.print(
        f"{_safe(asked)}: {len(found)} records of {len({record.subject_id for record in found})} subjects in dataset "
        f"{found[0].dataset if found else 'none'}. --csv lists them."
    )
    return None


def show_affected(answer: AffectedAnswer, *, as_json: bool) -> None:
    if as_json:
        return _print_json({**as_data(answer), "retrain": RETRAIN if answer.affected else None})
    console = _console()
    if answer.affected:
        table = Table("", "aliases", "endpoints", "subjects", "records", box=None, pad_edge=False)
        for item in answer.affected:
            aliases, endpoints = (_safe(", ".join(names)) for names in (item.use.aliases, item.use.endpoints))
            records = f"{item.records}, and those of {item.erased} erased" if item.erased else str(item.records)
            table.add_row(_safe(item.use.title), aliases, endpoints, str(len(item.subjects)), records)
        _print_table(table)
    _show_deployed(console, [item.use for item in answer.affected])
    seen = answer.looked_at
    kinds = Counter(item.use.kind for item in answer.affected)
    console.print(
        f"{kinds['version']} of {seen['versions']} versions and {kinds['run']} of {seen['runs']} runs rest "
        f"on records that may no longer be used ({_safe(answer.scope)})."
    )
    _show_git(console, seen, answer.differences)
    if answer.affected:
        console.print(f"  to train without them: {RETRAIN}")
    _show_unknown(console, answer.unknown, "more may rest on them")
    return None


def show_check(certificate: Path, faults: list[str], *, as_json: bool) -> None:
    if as_json:
        return _print_json({"certificate": str(certificate), "holds": not faults, "faults": faults})
    for fault in faults:
        print(f"  {printable(fault)}")
    print(f"{printable(str(certificate))}: {'does not hold' if faults else 'holds: this repository says the same'}.")
    return None


def _show_deployed(console: Console, uses: Iterable[Use]) -> None:
    """Which of these models answer requests, by the tag of their versions."""
    for use in uses:
        if use.endpoints:
            where = _safe(", ".join(use.endpoints))
            console.print(f"[bold red]deployed[/]: {_safe(use.title)} answers requests at {where}, as its tag says.")


def _show_git(console: Console, seen: Mapping[str, int], differences: Sequence[str]) -> None:
    """What Git holds beside what MLflow lists, and where the two differ."""
    alone = seen["models in Git alone"]
    missing = f"of which MLflow has {f'no version of {alone}' if alone else 'a version of each'}"
    results = f", and results of other stages: {seen['results in Git']}" if seen["results in Git"] else ""
    console.print(
        f"Git holds {seen['models in Git']} models, {missing if seen['stores'] else 'MLflow was not asked'}{results}; "
        f"{seen['logged models']} models were logged and not registered."
    )
    for difference in differences[:SOME]:
        console.print(f"  [yellow]{_safe(difference)}.[/]")
    if len(differences) > SOME:
        console.print(f"  [yellow]and {len(differences) - SOME} more. --json lists them.[/]")


def _show_unknown(console: Console, unknown: Iterable[str], so_that: str) -> None:
    reasons = list(unknown)
    for reason in reasons:
        console.print(f"  [yellow]unknown[/]  {_safe(reason)}")
    if reasons:
        console.print(f"[yellow]INCONCLUSIVE[/]: {len(reasons)} things could not be looked at, so {so_that}.")


def _table_of_uses(uses: Iterable[Use], marked: set[str] = frozenset()) -> Table:  # type: ignore[assignment]
    table = Table("", "state", "started", "ended", "registered", "dataset", box=None, pad_edge=False)
    for use in uses:
        moments = (_moment(moment) for moment in (use.started, use.ended, use.registered))
        aliases = "".join(f" @{alias}" for alias in use.aliases)
        endpoints = "".join(f" -> {name}" for name in use.endpoints)
        name = f"{'[red]' if use.name in marked else ''}{_safe(use.title + aliases + endpoints)}"
        table.add_row(name, _state(use), *moments, "\n".join(sorted(use.datasets)))
    return table


def _state(use: Use) -> str:
    return _safe(f"{use.state.lower()}, deleted" if use.is_deleted else use.state.lower())


def _moment(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ") if moment else ""


def _print_json(answer: Any) -> None:
    text = json.dumps(as_data(answer), indent=2, ensure_ascii=False)
    print_answer(
        BEYOND_ASCII.sub(lambda found: found[0] if printable(found[0]) == found[0] else _escaped(found[0]), text)
    )


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1]


def _safe(text: str) -> str:
    """Text of others for Rich: no markup, and nothing that a terminal obeys."""
    return escape(printable(text))


def _print_table(table: Table) -> None:
    """Prints a table without filling or cutting its lines: a hash must stay whole."""
    console = Console(highlight=False, width=WIDTH)
    with console.capture() as drawn:
        console.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)
