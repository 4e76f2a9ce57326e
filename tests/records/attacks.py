"""Attacks at random on what a project with two models rests on, and what each of them disproves.

What may be answered is worked out here from what lay there before the attack, with Git, YAML, JSON and SQL alone: none
of the code under test is asked. Version 1 holds the subject OUT, version 2 does not; OUT opted out between the two.
Attacks on what lies around them: attacks_around.py; on certificates: attacks_on_certificates.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from baked import Project
from command import Lineage
from consent import FIRST, LONG_AGO, OUT, SECOND, UNLISTED
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
    """What was done, and what may no longer be answered."""

    what: str
    disproves: frozenset[str] = frozenset()  # versions that can no longer be proved
    mlflow_alone: bool = False  # whether nothing but MLflow shows that: Git and DVC prove what they did
    loses: frozenset[str] = frozenset()  # versions whose manifest nobody has any more
    adds_out: bool = False  # whether Git now holds a model with OUT in it that is younger than the opt-out
    harmless: bool = False  # whether answers about the two versions are to be what they were
    forged: frozenset[str] = frozenset()  # who must refuse the certificate that is shown

    def __add__(self, other: Attack) -> Attack:
        """Both, the other one last."""
        return Attack(
            f"{self.what}, and {other.what}",
            self.disproves | other.disproves,
            self.mlflow_alone and not other.disproves,
            self.loses | other.loses,
            self.adds_out or other.adds_out,
            self.harmless and other.harmless,
        )


@dataclass
class Target:
    """The project to attack, and what its models rest on, read before anything was damaged."""

    project: Project
    moment: str  # of the opt-out
    whole: Path  # a copy, to put everything back from
    commits: dict[str, str] = field(default_factory=dict)  # by version
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)  # by version: the stages of dvc.lock
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)  # by version: lineage.json
    objects: dict[str, set[str]] = field(default_factory=dict)  # by version: the DVC objects it rests on
    files: dict[str, dict[str, str]] = field(default_factory=dict)  # by version: hash by path of what DVC keeps
    manifests: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, set[str]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)  # the training run by version
    registered: dict[str, Path] = field(default_factory=dict)  # by version: the folder that MLflow hands out
    certificates: dict[str, Path] = field(default_factory=dict)  # by their answer

    def __post_init__(self) -> None:
        for version, subject in ((FIRST, "Everybody"), (SECOND, "Opt-out")):
            commit = self.commits[version] = self.project.commit_of(subject)
            lock = self.locks[version] = yaml.safe_load(self.project.git("show", f"{commit}:dvc.lock"))["stages"]
            self.documents[version] = json.loads(self.project.git("show", f"{commit}:lineage.json"))
            files = self.files[version] = {
                out["path"]: out["md5"] for stage in STAGES for out in lock[stage]["outs"] if out["path"]
            }
            self.objects[version] = set(files.values())
            for path, listing in [(path, md5) for path, md5 in files.items() if md5.endswith(".dir")]:
                del files[path]
                files |= {f"{path}/{entry['relpath']}": entry["md5"] for entry in self.project.listing(listing)}
            self.objects[version] |= set(files.values())
            self.manifests[version] = files["data/processed/manifest.parquet"]
            table = pq.read_table(self.project.object(self.manifests[version]), columns=["subject_id"])
            self.subjects[version] = set(table["subject_id"].to_pylist())
            # MLflow's client keeps the store open: it is asked now, and never about a store that was put back
            client = self.project.store().client
            known = client.get_model_version("traceable-digits", version[-1])
            self.runs[version] = known.tags["training_run_id"]
            logged = client.get_logged_model(known.source.removeprefix("models:/"))
            self.registered[version] = Path(logged.artifact_location.removeprefix("file://"))

    @property
    def shown(self) -> Path:
        """The certificate that somebody shows: one of those above, changed."""
        return self.whole.parent / "shown.json"

    @property
    def restored(self) -> Path:
        """Where `lineage restore` puts a version."""
        return self.whole.parent / "restored"

    def resting_on(self, md5: str) -> frozenset[str]:
        return frozenset(version for version, names in self.objects.items() if md5 in names)

    def held_by(self, lock: str) -> frozenset[str]:
        """The versions whose training is that of a dvc.lock."""
        try:
            trained = yaml.safe_load(lock)["stages"]["train"]
        except (yaml.YAMLError, LookupError, TypeError, ValueError):
            return frozenset()
        return frozenset(version for version in self.locks if self.locks[version]["train"] == trained)

    def restore(self) -> None:
        """Everything as it was: what has another size or time of change than its copy is put back."""
        shutil.rmtree(self.restored, ignore_errors=True)
        _restore(self.whole / "project", self.project.root)
        _restore(self.whole / "remote", self.project.remote)


def _restore(source: Path, target: Path) -> None:
    """Makes `target` what the folder `source` is. Looking at all files costs a tenth of copying them."""
    there = {entry.name: entry for entry in os.scandir(target)} if target.is_dir() and not target.is_symlink() else None
    if there is None:
        target.unlink(missing_ok=True)
        target.mkdir()
    wanted = {entry.name: entry for entry in os.scandir(source)}
    for name in set(there or ()) - set(wanted):
        _remove(target / name)
    for name, entry in wanted.items():
        if entry.is_dir(follow_symlinks=False):
            _restore(Path(entry.path), target / name)
        elif not (there and name in there and _state(entry) == _state(there[name])):
            _remove(target / name)
            shutil.copy2(entry.path, target / name, follow_symlinks=False)


def _state(entry: os.DirEntry[str]) -> tuple[int, ...]:
    state = entry.stat(follow_symlinks=False)
    return state.st_mode, state.st_size, state.st_mtime_ns


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def target_of(project: Project, lineage: Lineage, moment: str, folder: Path) -> Target:
    """A target, with a copy of all of it in `folder`; its run-cache is in the remote, and there are certificates."""
    project.dvc("push", "--quiet", "--run-cache")
    folder.mkdir()
    asked = {"PASSED": (0, moment, OUT), "FAILED": (1, LONG_AGO, OUT), "INCONCLUSIVE": (2, moment, OUT, UNLISTED)}
    certificates = {answer: folder / f"{answer.lower()}.json" for answer in asked}
    for answer, (code, since, *ids) in asked.items():
        written = ("--since", since, "--certificate", str(certificates[answer]))
        lineage(project, "audit", "excluded", *ids, *written, code=code)
    whole = folder / "whole"
    whole.mkdir()
    shutil.copytree(project.root, whole / "project", symlinks=True)
    shutil.copytree(project.remote, whole / "remote")
    return Target(project, moment, whole, certificates=certificates)


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
            changed |= damaged(kind, path, source)
    # an empty place in the cache is no fault: it may be emptied at any time
    harmless = not changed or (where == "cache" and kind in ("deleted", "made a folder"))
    disproved = frozenset() if harmless else target.resting_on(md5)
    lost = disproved if where == "both" and md5 in target.manifests.values() else frozenset()
    return Attack(f"object {md5} of {where} {kind}", disproved, loses=lost)


def damaged(kind: str, path: Path, other: Path) -> bool:
    """Damages a file. Whether it now is another."""
    before = path.read_bytes()
    OF_A_FILE[kind](path, other)
    return not path.is_file() or path.read_bytes() != before


def damage_artifact(target: Target, chance: random.Random) -> Attack:
    """A file that MLflow keeps of a training run, or hands out for a version."""
    version = chance.choice(sorted(BOTH))
    if chance.random() < 0.5:
        folder = target.project.root / "mlartifacts" / target.runs[version] / "artifacts"
        files = [folder / "manifest.parquet", folder / "packages.txt"]
    else:
        files = [
            path
            for path in sorted(target.registered[version].rglob("*"))
            if path.is_file() and path.name != "registered_model_meta"
        ]
    path, kind = chance.choice(files), chance.choice(sorted(set(OF_A_FILE) - {"extended"}))
    changed = damaged(kind, path, target.project.root / "lineage.json")
    return Attack(f"{path} {kind}", frozenset({version}) if changed else frozenset(), mlflow_alone=True)


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
    return Attack(f"{table}.{column} of {version}", frozenset({version}), mlflow_alone=True)


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
    disproved = frozenset({version}) if what == "the version" else BOTH
    return Attack(f"{what} forgotten ({version})", disproved, mlflow_alone=True)


def backdate(target: Target, chance: random.Random) -> Attack:
    """Every moment that MLflow has, moved into the past or the future: further than two clocks may lie apart.

    Both versions lie within minutes of the commits that they started from and that hold them.
    """
    by = chance.choice((-1, 1)) * chance.randrange(2 * 10**6, 10**11)
    target.project.sql("UPDATE runs SET start_time = start_time + ?, end_time = end_time + ?", by, by)
    target.project.sql("UPDATE model_versions SET creation_time = creation_time + ?", by)
    return Attack(f"moments moved by {by} ms", BOTH, mlflow_alone=True)


def point_elsewhere(target: Target, chance: random.Random) -> Attack:
    """Settings of this checkout that name another remote, store or project, where nothing of these models is."""
    root = target.project.root
    what = chance.choice(("remote", "remote", "tracking.uri", "project_id"))
    if what == "remote":
        empty = root / ".dvc" / "empty"
        empty.mkdir()
        (root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {empty}\n")
    else:
        params = root / "params.yaml"
        old = "sqlite:///mlflow.db" if what == "tracking.uri" else yaml.safe_load(params.read_text())["project_id"]
        params.write_text(params.read_text().replace(old, f"{old}{chance.randrange(10)}"))
    return Attack(f"another {what} in the settings", BOTH, mlflow_alone=what != "remote")


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
    return Attack(f"a tombstone for {md5}", lost, loses=lost if md5 in target.manifests.values() else frozenset())


ATTACKS = (damage_object, damage_artifact, damage_row, forget, backdate, rewrite_history, excuse, point_elsewhere)
