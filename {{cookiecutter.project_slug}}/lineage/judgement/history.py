"""Who had an alias when, by the decisions in Git; and whether it is there now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.markup import escape

from ..base.errors import TrackerError
from ..dvc.dvcfile import PARAMS_FILE
from ..proof.case import Evidence
from ..proof.decisions import Decisions, Line, registered, standing
from ..settings import read_params


def history(root: Path, alias: str, *, as_json: bool) -> int:
    """Prints it. Returns 0 if all is as decided, 1 if something is not, 2 if that is unknown."""
    evidence = Evidence(root, shared=True)
    model = str(read_params(root / PARAMS_FILE)["tracking"]["model_name"])
    line = evidence.decisions.line(model, alias)
    status, where, fix = _where(evidence, line)
    rows = _rows(line, evidence.decisions)
    if as_json:
        document = {"model": model, "alias": alias, "state": where, "decisions": rows, "faults": line.faults}
        print(json.dumps(document | {"elsewhere": line.elsewhere}, indent=2, ensure_ascii=False))
        return status
    _print(line, rows, where, fix)
    return status


def _where(evidence: Evidence, line: Line) -> tuple[int, str, str]:
    """Exit status, where the alias stands in a sentence, and what to do now."""
    try:
        pointers, tags = evidence.store.pointers(line.model)
        exists, is_same = registered(evidence.store, line)
    except TrackerError as error:
        return (1 if line.faults else 2), f"where the alias is now is unknown: {error}", error.fix
    found = standing(line, pointers.get(line.alias), tags, exists=exists, is_same=is_same)
    wrong = found.where in ("moved", "gone") or line.faults
    unknown = found.where in ("unfinished", "not here") or line.elsewhere
    return (1 if wrong else 2 if unknown else 0), found.text, found.fix


def _rows(line: Line, decisions: Decisions) -> list[dict[str, Any]]:
    """One row for each decision, the latest first; `until` is when the next one was made."""
    rows: list[dict[str, Any]] = []
    until = None
    for decision in reversed(line.decisions):
        document, commit = decision.document, decisions.info(decision)
        since = document.at.isoformat()
        rows.append(
            {
                "number": document.number,
                "version": decision.version.number if decision.version else None,
                "kind": document.kind,
                "since": since,
                "until": until,
                "by": document.by,
                "reason": document.reason,
                "gates": {gate.name: gate.state for gate in document.gates},
                "accepted": [each.model_dump() for each in document.accepted],
                "path": decision.path,
                "sha256": decision.sha256,
                "commit": commit.id,
                "committed": {"by": commit.author, "at": commit.date},
                "is_here": decision.is_here,
            }
        )
        until = since
    return rows


def _print(line: Line, rows: list[dict[str, Any]], where: str, fix: str) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(where)}[/]")
    for row in rows:
        version = f"version {row['version']}" if row["version"] else "no version"
        verb = "" if row["kind"] == "promote" else "went back" if row["version"] else "taken away"
        console.print(
            f"  [bold]{version:<12}[/]  {row['since']} to {row['until'] or 'now'}  {verb:<10}  {escape(row['by'])}  "
            f"commit {row['commit'][:12]}"
        )
        for text in _reasons(row):
            console.print(f"  {'':<12}  {escape(text)}")
    if not rows:
        console.print("  nobody has decided anything about it.")
    for text in line.faults:
        console.print(f"  [red]wrong[/]  {escape(text)}")
    for text in line.elsewhere:
        console.print(f"  [yellow]?[/]      {escape(text)}")
    if fix:
        console.print(f"[bold]now:[/] {escape(fix)}")


def _reasons(row: dict[str, Any]) -> list[str]:
    """Why it was decided, beside gates that passed."""
    reasons = [f"reason: {row['reason']}"] if row["reason"] else []
    return reasons + [f"accepted ({', '.join(each['gates'])}): {each['reason']}" for each in row["accepted"]]
