"""Who had an alias when, by the decisions in Git; and whether it is there now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from ..base.errors import LineageError, TrackerError
from ..base.terminal import print_answer
from ..dvc.dvcfile import PARAMS_FILE
from ..proof.case import Evidence
from ..proof.decisions import Decisions, Line, registered, standing
from ..settings import read_params


def history(root: Path, alias: str, model: str | None = None, *, as_json: bool) -> int:
    """Prints it, of the registered model of params.yaml and of others that had the name before; or of `model` alone.

    Returns 0 if all is as decided, 1 if something is not, 2 if that is unknown. Raises LineageError for an alias that
    no decision and no setting names, PromotionError for such a model.
    """
    evidence = Evidence(root, shared=True)
    params, decisions = read_params(root / PARAMS_FILE), evidence.decisions
    named = decisions.named(model, str(params["tracking"]["model_name"]))
    known = dict.fromkeys([*params["promotion"]["aliases"], *(each for _, each in decisions.lines)])
    if alias not in known:
        raise LineageError(f"no decision and no setting is about an alias {alias}. There are {', '.join(known)}.")
    others = [] if model else decisions.others(named, alias)
    found = [_line_history(evidence, line) for line in (decisions.line(named, alias), *others)]
    if as_json:
        first, *rest = [each.document for each in found]
        print_answer(json.dumps(first | {"others": rest}, indent=2, ensure_ascii=False))
    else:
        for each in found:
            _print(each)
    return max((each.status for each in found), key=(0, 2, 1).index)


@dataclass(frozen=True)
class _LineHistory:
    """What there is to say of one line."""

    line: Line
    rows: list[dict[str, Any]]
    status: int
    where: str
    fix: str

    @property
    def document(self) -> dict[str, Any]:
        """For JSON."""
        line = self.line
        found = {"model": line.model, "alias": line.alias, "state": self.where, "decisions": self.rows}
        return {**found, "faults": line.faults, "elsewhere": line.elsewhere}


def _line_history(evidence: Evidence, line: Line) -> _LineHistory:
    return _LineHistory(line, _rows(line, evidence.decisions), *_where(evidence, line))


def _where(evidence: Evidence, line: Line) -> tuple[int, str, str]:
    """Exit status, where the alias stands in a sentence, and what to do now."""
    try:
        pointers, tags = evidence.store.pointers(line.model)
        exists, is_same = registered(evidence.store, line)
    except TrackerError as error:
        text = f"where models:/{line.model}@{line.alias} is now is unknown: {error}"
        return (1 if line.faults else 2), text, error.fix
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


def _print(found: _LineHistory) -> None:
    from rich.console import Console

    console, line, fix = Console(highlight=False, soft_wrap=True), found.line, found.fix
    console.print(f"[bold]{escape(found.where)}[/]")
    for row in found.rows:
        version = f"version {row['version']}" if row["version"] else "no version"
        verb = "" if row["kind"] == "promote" else "went back" if row["version"] else "taken away"
        console.print(
            f"  [bold]{version:<12}[/]  {row['since']} to {row['until'] or 'now'}  {verb:<10}  {escape(row['by'])}  "
            f"commit {row['commit'][:12]}"
        )
        for text in _reasons(row):
            console.print(f"  {'':<12}  {escape(text)}")
    if not found.rows:
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
