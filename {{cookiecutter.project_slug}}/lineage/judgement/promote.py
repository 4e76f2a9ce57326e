"""Judges a version by the gates and decides; goes back to an earlier one; brings an alias to where it was decided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..base.errors import PromotionError
from ..proof.case import Evidence, ModelCase
from ..proof.decision import GATES_TO_GO_BACK, Accepted, State
from ..proof.decisions import Decision, Line
from .accept import Accept, accepted_by, require_reason
from .bench import Bench
from .decide import carry_out, one_at_a_time
from .follow_up import Result
from .gates.answer import Answer, worst
from .judge import all_gates, ask, version_named, version_of

NOT_FOLLOWED = 3  # exit status: decided, and what follows decisions does not show it yet


@dataclass
class Outcome:
    """What became of a command. Without `decision`, nothing was decided."""

    title: str  # the version in question, or what is to become of the alias
    alias: str
    verdict: Literal[
        "promoted",
        "demoted",
        "would be promoted",
        "would be demoted",
        "as it was",
        "settled",
        "refused",
        "inconclusive",
    ]
    text: str
    answers: dict[str, Answer] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    decision: Decision | None = None
    notes: list[str] = field(default_factory=list)
    fix: str = ""
    follow_ups: list[Result] = field(default_factory=list)  # they are no part of the decision

    @property
    def is_settled(self) -> bool:
        """Whether the alias is where it was decided to be."""
        return self.verdict in ("promoted", "demoted", "as it was", "settled")

    @property
    def model(self) -> str:
        """The registered model that it is about."""
        return re.split("[/@]", self.title.removeprefix("models:/"))[0]

    @property
    def status(self) -> int:
        """0 decided (or as it was), 1 refused, 2 inconclusive, 3 decided, and a follow-up failed."""
        missed = NOT_FOLLOWED if any(not each.is_done for each in self.follow_ups) else 0
        return {"refused": 1, "inconclusive": 2}.get(self.verdict, missed)


def promote(evidence: Evidence, what: str, alias: str, accept: Sequence[Accept] = (), *, dry_run: bool) -> Outcome:
    """Judges the version that `what` names and, if its gates let it through, gives it the alias."""
    bench = Bench(evidence, alias)
    bench.require_right_place()
    with one_at_a_time(evidence.root):
        bench.tidy(dry_run=dry_run)
        case = version_named(evidence, what)
        assert case.version is not None
        number = str(case.version.version)
        line = bench.line(case.version.name)
        pointed = bench.settle(line, dry_run=dry_run, pointed_at=number)
        if line.now is not None and line.now.number == number and line.now.identity == case.identity:
            text = f"{case.title} has the alias {alias} already, by {line.last.path if line.last else ''}."
            return Outcome(case.title, alias, "as it was", text, notes=bench.notes)
        answers = ask(all_gates(bench.settings, case, line))
        return _conclude(bench, case, line, pointed, answers, accept, "promote", dry_run=dry_run)


def demote(
    evidence: Evidence,
    alias: str,
    reason: str,
    accept: Sequence[Accept] = (),
    *,
    model: str | None = None,
    nobody: bool,
    dry_run: bool,
) -> Outcome:
    """Gives the alias back to the version that had it before, or with `nobody` to none.

    `model`: a registered model of another name than params.yaml has now.
    """
    reason = require_reason(reason, "--reason")
    bench = Bench(evidence, alias, model)
    bench.require_right_place()
    with one_at_a_time(evidence.root):
        bench.tidy(dry_run=dry_run)
        line = bench.line(bench.model)
        pointed = bench.settle(line, dry_run=dry_run)
        if line.now is None:
            raise PromotionError(f"no version of {line.model} has the alias {alias}.")
        if nobody:
            document = bench.document(line, "demote", None, {}, [], reason)
            title = f"models:/{line.model}@{alias}"
            if dry_run:
                return Outcome(title, alias, "would be demoted", "no version would have the alias.", notes=bench.notes)
            decision = bench.decide(document, line, pointed)
            text = f"no version of {line.model} has the alias {alias} now."
            return Outcome(title, alias, "demoted", text, decision=decision, notes=bench.notes)
        if not line.before:
            raise PromotionError(f"no other version was {alias} before. --nobody takes the alias away.")
        back = line.before[-1]
        case = version_named(evidence, f"models:/{line.model}/{back.number}")
        if case.identity != back.identity:
            raise PromotionError(f"{case.title} is another model than the one that was {alias}.")
        gates = all_gates(bench.settings, case, line)
        answers = ask({name: gates[name] for name in GATES_TO_GO_BACK})
        return _conclude(bench, case, line, pointed, answers, accept, "demote", reason, dry_run=dry_run)


def as_decided(evidence: Evidence, alias: str, *, model: str | None = None, dry_run: bool) -> Outcome:
    """Brings the alias to where the last decision in Git puts it, whoever moved it since.

    On a branch where decisions are made: another one may hold older ones, or some that nobody has merged. `model`: a
    registered model of another name than params.yaml has now.
    """
    bench = Bench(evidence, alias, model)
    bench.require_right_branch()
    with one_at_a_time(evidence.root):
        bench.tidy(dry_run=dry_run)
        line = bench.line(bench.model)
        if wrong := [*line.faults, *line.elsewhere]:
            raise PromotionError(f"{wrong[0]}. `lineage history {alias}` lists the decisions.")
        found, pointed = bench.standing(line)
        title = f"models:/{line.model}@{alias}"
        if found.where == "as decided":
            return Outcome(title, alias, "as it was", f"{found.text}.", notes=bench.notes)
        if line.last is None or found.where in ("gone", "not here"):
            raise PromotionError(found.text, fix=found.fix)
        to = f"version {line.now.number}" if line.now else "no version"
        if dry_run:
            return Outcome(title, alias, "settled", f"{found.text} It would be {to}.", notes=bench.notes)
        carry_out(evidence.store, line.last, expected={pointed})
        return Outcome(title, alias, "settled", f"{title} is {to} now, by {line.last.path}.", notes=bench.notes)


def _conclude(
    bench: Bench,
    case: ModelCase,
    line: Line,
    pointed: str | None,
    answers: dict[str, Answer],
    accept: Sequence[Accept],
    kind: Literal["promote", "demote"],
    reason: str = "",
    *,
    dry_run: bool,
) -> Outcome:
    accepted, notes = accepted_by(accept, answers)
    outcome = Outcome(case.title, bench.alias, "refused", "", answers, accepted, notes=[*bench.notes, *notes])
    let_through = {name for each in accepted for name in each.gates}
    state: State = worst([each.state for name, each in answers.items() if name not in let_through] or ["PASS"])
    behind = [name for name, each in answers.items() if each.state == state and name not in let_through]
    if state != "PASS":
        outcome.fix = next((answers[name].fix for name in behind if answers[name].fix), "")
        fails = state == "FAIL"
        outcome.verdict = "refused" if fails else "inconclusive"
        said = (
            f"{'does' if len(behind) == 1 else 'do'} not pass"
            if fails
            else f"cannot be decided without --accept '{behind[0]}: REASON'"
        )
        outcome.text = f"{case.title} is not {bench.alias}: {', '.join(behind)} {said}."
        return outcome
    if dry_run:
        outcome.verdict = "would be promoted" if kind == "promote" else "would be demoted"
        outcome.text = f"{case.title} would be {bench.alias}."
        return outcome
    version = version_of(case)
    document = bench.document(line, kind, version, answers, accepted, reason)
    outcome.decision = bench.decide(document, line, pointed)
    outcome.verdict = "promoted" if kind == "promote" else "demoted"
    outcome.text = f"{case.title} is {bench.alias} now."
    return outcome
