"""The page: the answers in four lines, then a section for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...base.errors import ProjectError
from ...base.markdown import code, plain, table
from ...proof.case import Evidence
from ...proof.verify import exit_code
from ..diff.difference import Difference, difference
from ..diff.section import counted
from ..diff.show import NO_IDS, markdown
from ..diff.words import score
from .cost import cost
from .few import Few
from .plots import plots
from .shift import shift
from .slices import slices
from .verdict import Proved, verdicts
from .withheld import Searched

KEPT = (
    "This stays for years, where nobody can erase it: no id of a record or a subject of these dataset versions is in "
    "it, and no score that is known to be of fewer than {} subjects."
)
ROOM = 200  # characters for the sentence about lines that are left out
CUT = "The rest is left out, for its length: `lineage diff {} {}` shows all of it."


@dataclass
class Page:
    """The text, the exit status of verify, and the pictures that the text shows, by file name."""

    text: str
    status: int
    pictures: dict[str, str] = field(default_factory=dict)


@dataclass
class Section:
    """What is said of one question: in a line at the top, and below."""

    title: str
    line: str
    body: list[str]


def page(evidence: Evidence, a: str, b: str, pictures_at: str | None, longest: int) -> Page:
    """What `b` is beside `a`. `pictures_at`: the address before a picture's name; None for no pictures.

    Lines and pictures with an id are left out. Raises LineageError where one of the two names nothing, several models,
    or a model that is in no commit.
    """
    found = difference(evidence, a, b)
    proved = verdicts(evidence, found.b)
    searched, few = Searched(found.a, found.b), Few.of(found.b)
    try:
        searched.require()
    except ProjectError as error:
        return Page(_unsearched(found, proved, error), exit_code([*proved]))
    drawn = plots(found.a, found.b, pictures_at, searched, few) if pictures_at is not None else None
    sections = [
        _verdict(proved),
        _unrun(found),
        _scores(found, few),
        *(_said(title, ask) for title, ask in _questions(found, few)),
    ]
    there = [each for each in sections if each is not None]
    head = [f"## The model of {code(found.b.title)}, beside that of {code(found.a.title)}", ""]
    head += [f"- {each.line}" for each in there if each.line]
    parts = head + [line for each in there if each.body for line in ("", f"### {each.title}", "", *each.body)]
    if drawn is not None:
        parts += ["", "### Plots", "", *drawn.lines]
    document, left_out = few.without(found)
    kept = KEPT.format(few.least) + (f" {counted(left_out, 'number')} of fewer are left out." if left_out else "")
    whole = _with_diff(parts, markdown(document), longest - ROOM, CUT.format(a, b), kept)
    return Page(searched.lines(whole), exit_code([*proved]), drawn.files if drawn else {})


def _unsearched(found: Difference, proved: list[Proved], error: ProjectError) -> str:
    """What may be said where the ids cannot be had: the states of links, and nothing that a person gave a name to."""
    why = plain(error.without_ids or type(error).__name__)
    lines = [f"- Verify: **{each.state}** {plain(each.model)}: {each.sentence}" for each in proved]
    rest = f"Nothing else is said, for it could not be searched for ids of records and subjects: {why}"
    return "\n".join([f"## The model of {(found.b.commit or found.b.asked)[:12]}", "", *lines, "", rest, ""])


def _questions(found: Difference, few: Few) -> Iterator[tuple[str, Callable[[], tuple[str, list[str]]]]]:
    yield "Drift", lambda: shift(found.a, found.b)
    yield "Slices", lambda: slices(found, few)
    yield "Cost of jobs", lambda: cost(found.a, found.b)


def _said(title: str, ask: Callable[[], tuple[str, list[str]]]) -> Section:
    """An answer that cannot be had is said to be unknown: the others are there all the same."""
    try:
        line, body = ask()
    except ProjectError as error:
        line, body = f"unknown: {plain(error.without_ids or type(error).__name__)}", []
    return Section(title, f"{title}: {line}", body)


def _verdict(proved: list[Proved]) -> Section:
    """States and counts alone: what is wrong with a link may name a record."""
    lines = []
    for each in proved:
        passed = sum(link.state == "PASS" for link in each.links)
        lines.append(f"**{each.state}** {plain(each.model)}: {each.sentence} {passed} of {len(each.links)} links pass.")
    rows = [
        [plain(each.model), link.name, link.state, str(link.looked_at)]
        for each in proved
        for link in each.links
        if link.state != "PASS"
    ]
    body = table(["", "link", "answer", "looked at"], rows)
    for each in proved:
        if each.fix:
            body += [f"What to do now about {plain(each.model)}: {plain(each.fix)}.", ""]
    if body:
        body += [f"{code(f'lineage verify {proved[0].model}')} says what is wrong."]
    return Section("Verdict", "  \n  ".join(f"Verify: {line}" for line in lines), body)


def _unrun(found: Difference) -> Section | None:
    """What lies in the commit and has not run: then the model is not that of the commit."""
    outdated = found.b.outdated
    never = [stage for stage in found.b.pipeline.stages if stage not in found.b.recorded.lock]
    if not outdated and not never:
        return None
    body = [f"- {plain(each)}" for each in outdated] + [f"- {plain(each)}: has never run" for each in never]
    line = (
        f"**Not run** with what the commit holds: {counted(len(body), 'stage')}. All that is said here is about the "
        "model of the last run. `dvc repro` runs what is left."
    )
    return Section("Not run", line, body)


def _scores(found: Difference, few: Few) -> Section:
    measured = found.document["sections"]["metrics"]
    paired: dict[str, Any] | None = measured["paired"]
    if found.a.recorded.identity == found.b.recorded.identity is not None:
        return Section("Accuracy", "Model: the same as before", [])
    if paired is None or paired["overall"] is None:
        return Section("Accuracy", "Accuracy: not to be compared, there are no predictions of both", [])
    if few.is_in(paired["overall"]):
        return Section("Accuracy", f"Accuracy: not shown, it is that of fewer than {few.least} subjects", [])
    return Section("Accuracy", f"Accuracy on the same records: {plain(score(paired['overall']))}", [])


def _with_diff(parts: list[str], text: str, longest: int, cut: str, kept_as: str) -> str:
    """The page with the diff at its end, folded, and no longer than `longest`."""
    begin, end = ["", "<details><summary>What differs</summary>", ""], ["", "</details>", "", kept_as, ""]
    lines = text.replace(f"\n{NO_IDS}\n", "").rstrip().split("\n")
    room = longest - len("\n".join([*parts, *begin, *end])) - len(cut) - 4
    kept, size = 0, 0
    while kept < len(lines) and size + len(lines[kept]) + 1 <= room:
        size += len(lines[kept]) + 1
        kept += 1
    rest = [] if kept == len(lines) else ["", plain(cut) if "`" not in cut else cut]
    return "\n".join([*parts, *begin, *lines[:kept], *rest, *end])
