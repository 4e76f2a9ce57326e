"""Attacks at random on a project with two models, and what no command may answer after each.

What may be answered is worked out here from what lay there before the attack, with YAML, JSON and SQL alone: none of
the code under test is asked. Version 1 holds the subject OUT, version 2 does not; OUT opted out between the two.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from baked import Project
from consent import FIRST, LONG_AGO, OUT, SECOND, STAYS
from damage import OF_A_FILE

BOTH = frozenset({FIRST, SECOND})
STAGES = ("fetch", "preprocess", "train", "evaluate")  # whose outputs DVC keeps
REGISTERED = "m.version = :version"
#: rows of MLflow that `verify` compares: table, column, how the row of a version is found
ROWS = (
    (
        "tags",
        "value",
        "key IN ('dvc_data_md5', 'dvc_raw_md5', 'dvc_model_md5', 'model_sha256', 'project_id', 'dvc_stage')",
    ),
    ("params", "value", "key LIKE 'train.%'"),
    ("latest_metrics", "value", "1"),
    ("model_version_tags", "value", "key IN ('model_identity', 'dvc_data_md5', 'model_sha256', 'training_run_id')"),
    ("model_versions", "source", "1"),
    ("runs", "status", "1"),
)


@dataclass(frozen=True)
class Attack:
    """What was done, and the versions that can no longer be proved."""

    what: str
    disproves: frozenset[str] = frozenset()
    loses: frozenset[str] = frozenset()  # versions whose manifest nobody has any more


@dataclass
class Target:
    """The project to attack, and what its models rest on, read before anything was damaged."""

    project: Project
    moment: str  # of the opt-out
    whole: Path  # a copy, to put everything back from
    objects: dict[str, set[str]] = field(default_factory=dict)  # by version: the DVC objects it rests on
    manifests: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)  # the training run by version

    def __post_init__(self) -> None:
        for version, subject in ((FIRST, "Everybody"), (SECOND, "Opt-out")):
            commit = self.project.commit_of(subject)
            lock = yaml.safe_load(self.project.git("show", f"{commit}:dvc.lock"))["stages"]
            names = {out["md5"] for stage in STAGES for out in lock[stage]["outs"]}
            for listing in [name for name in names if name.endswith(".dir")]:
                for entry in self.project.listing(listing):
                    names.add(entry["md5"])
                    if entry["relpath"] == "manifest.parquet":
                        self.manifests[version] = entry["md5"]
            self.objects[version] = names
            self.runs[version] = self.project.version_tags(version[-1])["training_run_id"]

    def resting_on(self, md5: str) -> frozenset[str]:
        return frozenset(version for version, names in self.objects.items() if md5 in names)

    def restore(self) -> None:
        """Everything as it was, but for what is not looked at: links keep their targets, files their times."""
        for name in (".git", ".dvc", "mlartifacts", "mlflow.db", "lineage.json", "dvc.lock", "params.yaml", "erasures"):
            _replace(self.whole / "project" / name, self.project.root / name)
        _replace(self.whole / "remote", self.project.remote)


def _replace(source: Path, target: Path) -> None:
    subprocess.run(["rm", "-rf", str(target)], check=True)
    if source.exists():
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def target_of(project: Project, moment: str, whole: Path) -> Target:
    """A target, with a copy of all of it in `whole`."""
    whole.mkdir()
    shutil.copytree(project.root, whole / "project", symlinks=True)
    shutil.copytree(project.remote, whole / "remote")
    return Target(project, moment, whole)


def damage_object(target: Target, chance: random.Random) -> Attack:
    """One object, in the remote, in the cache, or in both."""
    md5 = chance.choice(sorted(target.objects[FIRST] | target.objects[SECOND]))
    other = chance.choice(sorted(target.objects[SECOND] - {md5}))
    where = chance.choice(("remote", "cache", "both"))
    kind = chance.choice(sorted(OF_A_FILE))
    path_of: dict[str, Callable[[str], Path]] = {"remote": target.project.object, "cache": target.project.cached}
    changed = False
    for place in ("remote", "cache") if where == "both" else (where,):
        path, source = path_of[place](md5), target.project.object(other)
        if path.exists():
            changed |= _damaged(kind, path, source)
    # an empty place in the cache is no fault: it may be emptied at any time
    harmless = not changed or (where == "cache" and kind in ("deleted", "made a folder"))
    disproved = frozenset() if harmless else target.resting_on(md5)
    lost = disproved if where == "both" and md5 in target.manifests.values() else frozenset()
    return Attack(f"object {md5} of {where} {kind}", disproved, lost)


def _damaged(kind: str, path: Path, other: Path) -> bool:
    before = path.read_bytes()
    OF_A_FILE[kind](path, other)
    return not path.is_file() or path.read_bytes() != before


def damage_artifact(target: Target, chance: random.Random) -> Attack:
    """A file that MLflow keeps of a training run, or hands out for a version."""
    version = chance.choice(sorted(BOTH))
    client = target.project.store().client
    if chance.random() < 0.5:
        folder = target.project.root / "mlartifacts" / target.runs[version] / "artifacts"
        files = [folder / "manifest.parquet", folder / "packages.txt"]
    else:
        model = client.get_model_version("traceable-digits", version[-1]).source.removeprefix("models:/")
        location = Path(client.get_logged_model(model).artifact_location.removeprefix("file://"))
        files = [
            path for path in sorted(location.rglob("*")) if path.is_file() and path.name != "registered_model_meta"
        ]
    path, kind = chance.choice(files), chance.choice(sorted(set(OF_A_FILE) - {"extended"}))
    changed = _damaged(kind, path, target.project.root / "lineage.json")
    return Attack(f"{path} {kind}", frozenset({version}) if changed else frozenset())


def damage_row(target: Target, chance: random.Random) -> Attack:
    """A value in MLflow that belongs to a version or its training run."""
    version = chance.choice(sorted(BOTH))
    table, column, which = chance.choice(ROWS)
    of = f"version = {version[-1]}" if table.startswith("model_version") else f"run_uuid = '{target.runs[version]}'"
    pick = f"SELECT rowid FROM {table} WHERE {which} AND {of} ORDER BY rowid"
    with contextlib.closing(sqlite3.connect(target.project.root / "mlflow.db")) as store:
        rows = [row[0] for row in store.execute(pick)]
    value = "value + 1" if table == "latest_metrics" else "'FAILED'" if column == "status" else f"{column} || 'x'"
    changed = target.project.sql(f"UPDATE {table} SET {column} = {value} WHERE rowid = ?", chance.choice(rows))
    assert changed == 1
    return Attack(f"{table}.{column} of {version}", frozenset({version}))


def forget(target: Target, chance: random.Random) -> Attack:
    """Versions, runs, or all of the store, as if they had never been."""
    version = chance.choice(sorted(BOTH))
    what = chance.choice(("the version", "the runs", "runs marked failed", "runs marked deleted", "the store"))
    if what == "the version":
        for table in ("model_version_tags", "model_versions"):
            target.project.sql(f"DELETE FROM {table} WHERE version = ?", int(version[-1]))
    elif what == "the store":
        (target.project.root / "mlflow.db").unlink()
    elif what == "the runs":
        for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
            target.project.sql(f"DELETE FROM {table}")
    else:
        change = "status = 'FAILED'" if "failed" in what else "lifecycle_stage = 'deleted'"
        target.project.sql(f"UPDATE runs SET {change}")
    return Attack(f"{what} forgotten ({version})", frozenset({version}) if what == "the version" else BOTH)


def backdate(target: Target, chance: random.Random) -> Attack:
    """Every moment that MLflow has, moved into the past or the future."""
    by = chance.choice((-1, 1)) * chance.randrange(10**6, 10**11)
    target.project.sql("UPDATE runs SET start_time = start_time + ?, end_time = end_time + ?", by, by)
    target.project.sql("UPDATE model_versions SET creation_time = creation_time + ?", by)
    return Attack(f"moments moved by {by} ms")


def rewrite_history(target: Target, chance: random.Random) -> Attack:
    """The last commit as if something in it had been different, or its branch gone."""
    root = target.project.root
    what = chance.choice(("params.yaml", "dvc.lock", "lineage.json", "code", "replaced", "no branch"))
    if what == "no branch":
        target.project.git("checkout", "--quiet", "--detach", "HEAD~1")
        target.project.git("branch", "--quiet", "--delete", "--force", "main")
        return Attack("the branch of version 2 removed", frozenset({SECOND}))
    names = {"code": "traceable_digits/model/training.py", "replaced": "traceable_digits/model/training.py"}
    path = root / names.get(what, what)
    before = path.read_text()
    text = before.replace("seed", "sead", 1) if what == "params.yaml" else _one_digit_more(before, what, chance)
    blob = target.project.git("rev-parse", f"HEAD:{names.get(what, what)}")
    path.write_text(text)
    target.project.git("commit", "--quiet", "--all", "--amend", "--message", "Opt-out")
    if what == "replaced":  # the changed code looks like the old one to whoever follows replacements
        target.project.git("replace", target.project.git("rev-parse", f"HEAD:{names[what]}"), blob)
    return Attack(f"{what} of the last commit changed", frozenset({SECOND}))


def _one_digit_more(text: str, what: str, chance: random.Random) -> str:
    if what in ("code", "replaced"):
        return text + f"\nCHANGED = {chance.randrange(10**6)}\n"
    at = text.index("md5", chance.randrange(len(text) // 2))
    digit = next(index for index in range(at + 5, len(text)) if text[index] in "0123456789abcdef")
    return text[:digit] + ("0" if text[digit] != "0" else "1") + text[digit + 1 :]


def spoil_notes(target: Target, chance: random.Random) -> Attack:
    """What answers keep from one time to the next: it may speed them up, and must not make them wrong."""
    kept = target.project.root / ".dvc" / "tmp" / "kept"
    notes = [path for path in sorted(kept.rglob("*")) if path.is_file()]
    if not notes:
        return Attack("no notes")
    path = chance.choice(notes)
    _damaged(chance.choice(sorted(OF_A_FILE)), path, target.project.root / "dvc.lock")
    return Attack(f"notes {path.name} spoiled")


def excuse(target: Target, chance: random.Random) -> Attack:
    """A tombstone that no erasure wrote, in the form of a true one, and the object that it names gone."""
    md5 = chance.choice(sorted(name for name in target.objects[SECOND] if not name.endswith(".dir")))
    dataset = json.loads((target.project.root / "lineage.json").read_text())["dataset"]
    named = {"md5": md5, "path": "data/processed/shards/x.parquet"}
    data = {
        "md5": dataset["md5"],
        **{key: dataset["subjects"][key] for key in ("root", "salt")},
        "keys": [f"{chance.getrandbits(256):064x}"],
        "redacted": f"{chance.getrandbits(128):032x}",
    }
    stone = {
        "schema": 1,
        "id": "x",
        "moment": datetime.now(UTC).isoformat(timespec="seconds"),
        "reason": "none",
        "objects": [named],
        "not_found": [],
        "datasets": [data],
        "models": [],
    }
    folder = target.project.root / "erasures" / "x"
    folder.mkdir(parents=True)
    (folder / "tombstone.json").write_text(json.dumps(stone))
    target.project.git("add", "erasures")
    target.project.git("commit", "--quiet", "--message", "An excuse")
    for path in (target.project.object(md5), target.project.cached(md5)):
        path.unlink(missing_ok=True)
    lost = target.resting_on(md5)
    return Attack(f"a tombstone for {md5}", lost, lost if md5 in target.manifests.values() else frozenset())


ATTACKS = (
    damage_object,
    damage_object,
    damage_artifact,
    damage_row,
    forget,
    backdate,
    rewrite_history,
    spoil_notes,
    excuse,
)


@dataclass(frozen=True)
class Question:
    """A command, and whether an answer after an attack comforts wrongly."""

    arguments: tuple[str, ...]
    is_wrong: Callable[[Attack, int, str], bool]


def questions(target: Target) -> list[Question]:
    """Every command that answers something about these models."""

    def proves(*versions: str) -> Callable[[Attack, int, str], bool]:
        return lambda attack, status, _: status in (0, 3) and bool(attack.disproves & set(versions))

    def passes(_: Attack, status: int, __: str) -> bool:
        return status == 0

    def forgets(_: Attack, status: int, output: str) -> bool:
        return status == 0 and FIRST not in {use["name"] for use in json.loads(output)["uses"]}

    def passes_unseen(attack: Attack, status: int, _: str) -> bool:
        return status == 0 and SECOND in attack.loses

    excluded = ("audit", "excluded", "--json", "--since")
    return [
        *(Question(("verify", version, "--json", "--rehash"), proves(version)) for version in (FIRST, SECOND)),
        Question(("verify", "--all", "--json", "--rehash"), proves(FIRST, SECOND)),
        Question((*excluded, LONG_AGO, OUT), passes),  # version 1 holds them, since then
        Question((*excluded, LONG_AGO, STAYS), passes),
        Question((*excluded, target.moment, OUT), passes_unseen),
        Question(("audit", "subject", OUT, "--json"), forgets),
        Question(("audit", "affected", "--json"), passes),  # version 1 rests on who opted out
        Question(("trace", SECOND), lambda *_: False),
        Question(("doctor", "--json"), lambda *_: False),
    ]


def at_random(target: Target, chance: random.Random, count: int) -> Iterator[tuple[Attack, Question]]:
    """`count` attacks, each with one question about it; before the next, all is as it was."""
    asked: list[Any] = []
    for _ in range(count):
        attack = chance.choice(ATTACKS)(target, chance)
        if not asked:  # each question comes round, in an order of chance
            asked = chance.sample(questions(target), len(questions(target)))
        yield attack, asked.pop()
        target.restore()
