"""What a plan says to a person."""

from __future__ import annotations

import json
from dataclasses import asdict

from ..base.printable import printable
from ..base.terminal import print_answer
from .execute import Done
from .plan import Going, Plan, size_of

SHOWN = 20  # of a long list; --json has all of it


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """Prints a plan: whether it is known what is needed, what may go, what ends, what stays."""
    if as_json:
        print_answer(json.dumps({"state": _state(plan), **asdict(plan)}, indent=2, ensure_ascii=False))
        return
    print(f"{_state(plan)}: {_sentence(plan)}")
    if not plan.wanted.accept_lost and plan.lost:
        print("If what is not to be found here is lost for good, --accept-lost counts it as gone.")
    _show("what is needed is not known", plan.unknown)
    _show("nowhere to be found", plan.lost)
    _show("may go", [_line(each) for each in plan.going])
    _show("cannot be proved any more when it is gone", plan.ends)
    for place, counts in plan.stays.items():
        stays = ", ".join(f"{count} {why}" for why, count in counts.items()) or "nothing"
        print(f"stay in the {place}: {stays}.")
    if plan.past:
        print(f"With --past {_count(plan.past)} more would go, which only earlier commits or runs name.")
        _show("could not be proved any more then", plan.would_end)
    print(
        f"Looked at: {', '.join(map(printable, plan.places))}. Not looked at: other clones with their caches, other "
        "remotes, commits that were never pushed from elsewhere, certificates outside of Git that are not shown, the run "
        "cache of DVC, older versions that a bucket keeps. Dataset versions that a model or a run rests on always stay: "
        "every audit looks into them."
    )


def show_done(done: Done, *, as_json: bool) -> None:
    """Prints what became of a plan."""
    if as_json:
        print_answer(json.dumps(asdict(done), indent=2, ensure_ascii=False))
        return
    if done.unknown:
        _show("INCONCLUSIVE, nothing was deleted: what is needed is not known any more", done.unknown)
        return
    print(f"deleted: {_count(done.deleted)}.")
    if done.needed_again:
        print(f"stay: {done.needed_again} that were planned, and are needed by now, or gone.")
    _show("left", done.left)
    if done.record:
        print(f"record: {done.record}, committed. `git push` shares it.")


def _state(plan: Plan) -> str:
    return "PLANNED" if plan.is_known else "INCONCLUSIVE"


def _sentence(plan: Plan) -> str:
    if not plan.is_known:
        return "nothing may be deleted, because it is not known what is needed."
    if not plan.going:
        return "nothing may go."
    return f"{_count(plan.going)} may go. `lineage gc --execute` deletes what is needed by nothing then, too."


def _count(going: list[Going]) -> str:
    return f"{len(going)} objects ({size_of(going):,} bytes)"


def _line(each: Going) -> str:
    return f"{each.place} {each.md5} ({each.size:,} bytes): {each.named or 'nothing names it'}"


def _show(title: str, lines: list[str]) -> None:
    if not lines:
        return
    print(f"{title}:")
    for line in lines[:SHOWN]:
        print(f"  {printable(line)}")
    if len(lines) > SHOWN:
        print(f"  and {len(lines) - SHOWN} more (--json names all)")
