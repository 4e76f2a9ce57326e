"""Technical documentation as Annex IV of the EU AI Act (Regulation (EU) 2024/1689) asks for it: its nine sections.

Each point is filled from what the project knows, and says what it does not know: purposes, risks and duties are in no
repository. A document that says "missing" is not finished; one that says nothing would look as if it were.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.pages import render, render_text
from ...base.yaml12 import parse_yaml
from ...chain.card import number
from ...proof.shown import ticks
from ..facts import Facts, Score
from .model_card import code

HERE = Path(__file__)


@dataclass(frozen=True)
class Point:
    """One point of a section: what the annex asks, what is known, and what the provider has to add."""

    letter: str
    asks: str
    known: tuple[str, ...]
    missing: str


@dataclass(frozen=True)
class Section:
    """One of the nine sections."""

    number: int
    title: str
    points: tuple[Point, ...]


def annex_iv(facts: Facts, *, as_page: bool = False) -> str:
    """The document as Markdown, or as a page that can be printed."""
    sections = sections_of(facts)
    missing = sum(bool(point.missing) for section in sections for point in section.points)
    values: dict[str, Any] = {"facts": facts, "sections": sections, "missing": missing}
    if as_page:
        return render(HERE.with_name("annex_iv.html.jinja"), {"ticks": ticks}, **values)
    return render_text(HERE.with_name("annex_iv.md.jinja"), {"code": code}, **values).rstrip() + "\n"


def sections_of(facts: Facts) -> list[Section]:
    """The nine sections, each with all its points."""
    known = {**_of_system(facts), **_of_development(facts), **_of_use(facts)}
    asked = parse_yaml(HERE.with_name("annex_iv.yaml").read_text(encoding="utf-8"))
    return [
        Section(
            place,
            section["title"],
            tuple(
                Point(one.get("letter", ""), one["asks"], known.get(one.get("key"), ()), one.get("missing", ""))
                for one in section["points"]
            ),
        )
        for place, section in enumerate(asked, start=1)
    ]


def _of_system(facts: Facts) -> dict[str, tuple[str, ...]]:
    """Section 1."""
    machine = ", ".join(f"{key} {value}" for key, value in facts.machine.items()) or "unknown"
    packages = f"{len(facts.packages)} packages" if facts.packages else "Packages"
    return {
        "version": (
            f"{facts.title}, model identity {facts.identity}, result commit {facts.commit}.",
            *(
                f"{'Given' if each.is_given else 'No longer given'} the alias {each.alias} on "
                f"{each.at.date().isoformat()} (commit {each.commit[:12]})."
                for each in facts.decisions
            ),
        ),
        "packages": (f"{packages}, pinned by the lock with SHA-256 {facts.environment.sha256}.",),
        "form": (f"Registered as {facts.uri}, {len(facts.artifact)} files.",),
        "machine": (f"It was trained on: {machine}.",),
    }


def _of_development(facts: Facts) -> dict[str, tuple[str, ...]]:
    """Section 2."""
    settings = [f"{key}={value}" for key, value in facts.settings.items() if key.startswith(("model.", "train."))]
    started = f"other weights, SHA-256 {facts.pretrained.sha256}" if facts.pretrained else "random weights"
    network = facts.settings.get("model.name", "unknown")
    return {
        "steps": (f"Made by one DVC pipeline at commit {facts.commit}; training started from {started}.",),
        "settings": (f"Settings: {', '.join(settings)}.",),
        "network": (
            f"Network {network}, {facts.model.size} bytes of weights, SHA-256 {facts.model.sha256}.",
            f"Training {_duration(facts)}",
        ),
        "data": _data(facts),
        "tests": _tests(facts),
        "security": ("Weights are safetensors, which hold no code; every file is bound by its SHA-256.",),
    }


def _of_use(facts: Facts) -> dict[str, tuple[str, ...]]:
    """Sections 3 to 9."""
    names = ", ".join(dict.fromkeys(score.name for score in facts.scores)) or "none"
    inputs = ((key, value) for key, value in facts.settings.items() if key.startswith("data.image."))
    return {
        "limits": (*facts.limits, _groups(facts)),
        "inputs": tuple(f"{key}: {value}" for key, value in inputs),
        "metrics": (f"Metrics: {names}.",),
        "changes": (
            "Every change of code, data and settings is a commit; `lineage diff` shows what differs between versions.",
            f"{len(facts.decisions)} decisions about this version are in Git.",
        ),
        "monitoring": ("`lineage drift` compares new data with those of the training.",),
    }


def _data(facts: Facts) -> tuple[str, ...]:
    splits = [f"{split}: {count} records, {_counted(facts, split)}" for split, count in facts.records.items()]
    consent = f"its snapshot has the SHA-256 {facts.consent.sha256}" if facts.consent else "none was asked"
    return (
        f"Dataset version {facts.dataset.md5}, SHA-256 {facts.dataset.sha256}; raw data SHA-256 {facts.raw.sha256}.",
        f"{'; '.join(splits)}. {facts.splitting}",
        f"Source: {facts.settings.get('data.source.name', 'unknown')}. Consent registry: {consent}.",
    )


def _counted(facts: Facts, split: str) -> str:
    count = facts.subjects.get(split)
    return "an unknown number of subjects" if count is None else f"{count} subjects"


def _tests(facts: Facts) -> tuple[str, ...]:
    asked = (
        f"Asked before {each.alias} on {each.at.date().isoformat()}: "
        + ", ".join(f"{gate.name} {gate.state}" for gate in each.gates)
        for each in facts.decisions
        if each.gates
    )
    return (*map(_score, facts.scores), *asked, _verdict(facts))


def _score(score: Score) -> str:
    known = score.low is not None and score.high is not None
    return f"{score.group}.{score.name} = {number(score.value)}" + (
        f" (95%: {number(score.low)} to {number(score.high)})" if known else " (no interval was computed)"
    )


def _verdict(facts: Facts) -> str:
    proved = facts.proved
    if proved is None:
        return f"Whether the chain holds was not asked for this document: `lineage verify {facts.uri}` says."
    passed = sum(state == "PASS" for _, state, _ in proved.links)
    return f"Its chain on {proved.at.isoformat()}: {proved.state}, {passed} of {len(proved.links)} links passed."


def _groups(facts: Facts) -> str:
    worst, count = facts.worst_slice, facts.slice_count
    if not count:
        return "No groups were looked at: scores are of all records together."
    if worst is None:
        return f"{count} groups were looked at; none is named here: they are too small to say, or bear an id."
    low, high = number(worst["low"]), number(worst["high"])
    return f"Worst of {count} groups: {worst['name']}, accuracy {number(worst['accuracy'])} (95%: {low} to {high})."


def _duration(facts: Facts) -> str:
    if facts.started is None or facts.ended is None:
        return "took an unknown time."
    return f"took {(facts.ended - facts.started).total_seconds():.0f} s, from {facts.started.isoformat()}."
