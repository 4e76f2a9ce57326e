"""A project with a consent registry in which one subject opts out, run once: what tests of consent look at."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from baked import Project, bake, remove_hooks, use_perceptron
from command import Lineage
from damage import edit
from filelock import FileLock

MODEL = "models:/traceable-digits"
FIRST, SECOND = f"{MODEL}/1", f"{MODEL}/2"
PROCESSED = "data/processed"
LONG_AGO = "2024-01-31T08:30:00+01:00"

OUT = "PAT-00023"  # opts out: seven records of five classes, in train
COPIED = "PAT-00024"  # has a record with the content of one of theirs
UNLISTED = "PAT-00300"  # in the raw data, and not in the registry
STAYS = "PAT-00001"
IN_TEST = "PAT-00061"  # six records in test, and none in another split
# what ids look like that no template made up, by the number of the patient
ODD = {
    31: "Anne Müller",
    32: 'O\'Neill, "Jo"',
    33: "x' OR '1'='1",
    34: "'; DROP TABLE runs; --",
    35: "患者 7",
    36: "%",
    38: "--json",
}
SUBJECTS = [ODD.get(number, f"PAT-{number:05d}") for number in range(1, 321)]


@dataclass
class Cycle:
    """Version 1 holds everybody in the registry; then OUT opts out, and version 2 is made. For reading only."""

    project: Project
    moment: str  # of the opt-out, in ISO 8601
    first: str  # what `dvc repro` said
    second: str
    affected: dict[str, Any]  # `lineage audit affected` between opt-out and version 2
    shards: dict[str, list[str]]  # names of the shards of both versions


def write_registry(project: Project, statuses: dict[str, str], since: dict[str, str] | None = None) -> None:
    """Writes consent.csv: these subjects, with their status; `since` when, if not since long ago."""
    with (project.root / "consent.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["subject_id", "consent_status", "effective_at"])
        table.writerows([subject, status, (since or {}).get(subject, LONG_AGO)] for subject, status in statuses.items())


def everybody(**other: str) -> dict[str, str]:
    """All subjects but the unlisted one, active."""
    return {subject: "active" for subject in SUBJECTS if subject != UNLISTED}


def without(*subjects: str) -> dict[str, str]:
    """All subjects but the unlisted one, these revoked."""
    return everybody() | dict.fromkeys(subjects, "revoked")


def shards_of(project: Project) -> list[str]:
    return sorted(path.name for path in (project.root / PROCESSED / "shards").iterdir())


def finish(project: Project, message: str, lineage: Lineage) -> None:
    """What a person does after `dvc repro`."""
    project.commit(message)
    project.dvc("push", "--quiet")
    lineage(project, "link")


def run_cycle(shared: Path, installed: Project, lineage: Lineage) -> Cycle:
    """The cycle, run by the first of this session's workers that asks for it."""
    folder = shared / "optout"
    project = Project(folder / "traceable-digits", installed.venv, installed.environment)
    with FileLock(shared / "optout.lock"):
        told = folder / "told.json"
        if not told.exists():
            shutil.rmtree(folder, ignore_errors=True)
            told.write_text(json.dumps(_run(project, lineage)))
    return Cycle(project, **json.loads(told.read_text()))


def _run(project: Project, lineage: Lineage) -> dict[str, Any]:
    use_perceptron(bake(project.root.parent))
    remove_hooks(project.root)
    _keep_remote_beside(project)
    _make_source_odd(project)
    write_registry(project, everybody())
    # The salt is the project's id otherwise, and puts OUT first or last in one project of 160: with one neighbour.
    lineage(project, "compose", "privacy=registry", "privacy.salt=optout", "train=debug")
    first, shards = project.dvc("repro"), {}
    shards["first"] = shards_of(project)
    finish(project, "Everybody", lineage)
    moment = datetime.now(UTC).isoformat()
    write_registry(project, without(OUT), {OUT: moment})
    affected = json.loads(lineage.run(project, "audit", "affected", "--json")[1])
    second = project.dvc("repro")
    shards["second"] = shards_of(project)
    finish(project, "Opt-out", lineage)
    return {"moment": moment, "first": first, "second": second, "affected": affected, "shards": shards}


def _keep_remote_beside(project: Project) -> None:
    """The committed address of the DVC remote is relative: for every copy of the project, that of its own remote."""
    config, remote = project.root / ".dvc" / "config", project.root.parent / "dvc-remote"
    config.write_text(config.read_text().replace(str(project.remote), "../../dvc-remote"))
    config.with_name("config.local").write_text(f"['remote \"storage\"']\n    url = {remote}\n")
    project.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    del project.remote


def _make_source_odd(project: Project) -> None:
    """Gives some subjects odd ids, and one record the content of another subject's."""
    source = next(project.root.glob("*/sources/digits.py"))
    edit(source, "\nSITES = ", f"\nODD = {ODD!r}\nSITES = ")()
    for _ in range(2):  # in the records, and in the table of subjects
        edit(source, ' f"PAT-{number:05d}"', ' ODD.get(number, f"PAT-{number:05}")')()
    copied, owner = (int(subject[-5:]) - 1 for subject in (COPIED, OUT))
    edit(source, "    rows = [", f"    images[{copied}] = images[{owner}]\n    rows = [")()
