"""Which models Git holds, by states of dvc.lock of every form."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lineage.dvc.hashes import sha256_of_json
from lineage.git.history import History
from lineage.proof.git_models import GitModels
from lineage.proof.moments import SKEW, contradictions

from .conftest import EXAMPLE

USER = ("-c", "user.name=T", "-c", "user.email=t@example.org")


def md5(letter: str) -> str:
    return letter * 32


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *USER, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def entry(deps: dict[str, str], outs: dict[str, str]) -> dict[str, object]:
    return {
        "cmd": "x",
        **{
            kind: [{"path": path, "hash": "md5", "md5": value} for path, value in paths.items()]
            for kind, paths in (("deps", deps), ("outs", outs))
        },
    }


def train(dataset: str, weights: str) -> dict[str, object]:
    return entry({"data/processed": f"{md5(dataset)}.dir"}, {"models/model.safetensors": md5(weights)})


def text_of(stages: Mapping[str, object]) -> str:
    """dvc.lock as DVC writes it."""
    body = yaml.safe_dump({"stages": stages}, sort_keys=False, default_flow_style=False)
    return f"schema: '2.0'\n{body}".replace("\n    -", "\n    -")


def commit(folder: Path, text: str, name: str = "dvc.lock") -> str:
    (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")
    return git(folder, "rev-parse", "HEAD")


def init(folder: Path) -> None:
    """A repository with a dvc.yaml that says which stage makes what."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    shutil.copyfile(EXAMPLE / "dvc.yaml", folder / "dvc.yaml")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    init(tmp_path)
    commit(tmp_path, text_of({"train": train("a", "1")}))
    return tmp_path


def models(folder: Path) -> GitModels:
    return GitModels(History(folder), folder)


def datasets(folder: Path) -> set[str]:
    return {name for model in models(folder).models.values() for name in model.datasets}


FORMS: dict[str, Callable[[Mapping[str, object]], str]] = {
    "as DVC writes it": text_of,
    "with other line ends": lambda stages: text_of(stages).replace("\n", "\r\n"),
    "as JSON": lambda stages: json.dumps({"schema": "2.0", "stages": stages}),
    "with a quoted name": lambda stages: text_of(stages).replace("  train:\n", "  'train':\n"),
    "with an anchor": lambda stages: text_of(stages).replace("  train:\n", "  train: &one\n"),
    "with wide indents": lambda stages: yaml.safe_dump({"stages": stages}, indent=8),
    "with a comment": lambda stages: "# x\n" + text_of(stages),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_model_is_found_however_dvc_lock_is_written(repository: Path, form: str) -> None:
    write = FORMS[form]
    held = commit(repository, write({"train": train("b", "2"), "evaluate": entry({}, {})}))
    found = models(repository).models[sha256_of_json(train("b", "2"))]
    assert (found.datasets, found.commits) == ({f"{md5('b')}.dir"}, [held])


def test_models_of_branches_tags_stashes_experiments_and_the_reflog_are_held(repository: Path) -> None:
    for letter, keep in (("b", "tag"), ("c", "refs/exps/aa/bb/exp-1"), ("d", None)):
        held = commit(repository, text_of({"train": train(letter, "1")}))
        if keep == "tag":
            git(repository, "tag", "data/v1")
        elif keep:
            git(repository, "update-ref", keep, held)
        git(repository, "reset", "--quiet", "--hard", "HEAD~1")
    (repository / "dvc.lock").write_text(text_of({"train": train("e", "1")}))
    git(repository, "stash", "--quiet")
    (repository / "dvc.lock").write_text(text_of({"train": train("f", "1")}))
    assert datasets(repository) == {f"{md5(letter)}.dir" for letter in "abcdef"}
    names = [model.title for model in models(repository).models.values()]
    assert sum(name.endswith("not committed") for name in names) == 1
    git(repository, "reflog", "expire", "--expire=now", "--all")
    assert datasets(repository) == {f"{md5(letter)}.dir" for letter in "abcef"}


def test_stages_of_ones_own_count_by_what_they_read(repository: Path) -> None:
    stages = {
        "preprocess": entry({"data/raw": f"{md5('9')}.dir"}, {"data/processed": f"{md5('b')}.dir"}),
        "train": train("b", "1"),
        "features": entry({"data/processed": f"{md5('b')}.dir"}, {"data/features": f"{md5('3')}.dir"}),
        "forest": entry({"data/features": f"{md5('3')}.dir"}, {"models/forest": md5("4")}),
        "peek": entry({"data/raw": f"{md5('9')}.dir"}, {"peek.csv": md5("5")}),
        "report": entry({"metrics/test.json": md5("6")}, {"report.html": md5("7")}),
        "distil": entry({"models/model.safetensors": md5("1")}, {"models/small": md5("8")}),
    }
    commit(repository, text_of(stages))
    before = {f"{md5('a')}.dir"}
    found = {model.stage: model for model in models(repository).models.values() if model.datasets != before}
    assert set(found) == {"train", "features", "forest", "peek", "distil"}
    assert all(found[name].datasets == {f"{md5('b')}.dir"} for name in ("features", "forest", "distil"))
    assert found["peek"].unknown == ["it reads data/raw: no manifest says whose records these are"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_made_of_predictions_rests_on_the_records_they_are_about(repository: Path, form: str) -> None:
    made = {"metrics/test.json": md5("6"), "data/predictions.parquet": md5("7")}
    stages = {
        "train": train("b", "1"),
        "evaluate": entry({"data/processed": f"{md5('c')}.dir"}, made),
        "register": entry({"data/predictions.parquet": md5("7")}, {"lineage.json": md5("9")}),
    }
    commit(repository, FORMS[form](stages))
    assert datasets(repository) == {f"{md5(letter)}.dir" for letter in "ab"}
    stages["calibrate"] = entry({"data/predictions.parquet": md5("7")}, {"models/scale.json": md5("8")})
    commit(repository, FORMS[form](stages))
    found = {model.stage: model.datasets for model in models(repository).models.values()}
    assert found["calibrate"] == {f"{md5('c')}.dir"}
    assert set(found) == {"train", "calibrate"}


def test_a_train_that_names_no_dataset_is_unknown(repository: Path) -> None:
    commit(repository, text_of({"train": entry({"else": md5("2")}, {})}))
    (found,) = [model for model in models(repository).models.values() if not model.datasets]
    assert found.unknown == ["its entry in dvc.lock names no dataset version"]


def test_a_conflict_that_was_committed_is_unknown_only_where_its_sides_are(repository: Path) -> None:
    ours, theirs = text_of({"train": train("a", "1")}), text_of({"train": train("b", "2")})
    commit(repository, f"<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> other\n")
    assert len(models(repository).unreadable) == 2  # in the commit, and here
    commit(repository, theirs)
    assert models(repository).unreadable == []


def test_lineage_json_alone_holds_a_model_and_names_its_store(repository: Path) -> None:
    document = {
        "model": {"identity": "e" * 64, "tracking_uri": "https://one.example", "md5": md5("1")},
        "training_run": {"run_id": md5("2"), "tracking_uri": "sqlite:///two.db"},
        "dataset": {"md5": f"{md5('c')}.dir"},
    }
    held = commit(repository, json.dumps(document), "lineage.json")
    found = models(repository)
    assert found.models["e" * 64].datasets == {f"{md5('c')}.dir"}
    assert found.by_id[md5("2")].commits == [held]
    assert set(found.uris) == {"https://one.example", "sqlite:///two.db"}


def test_a_repository_without_commits_holds_what_lies_here(tmp_path: Path) -> None:
    init(tmp_path)
    assert models(tmp_path).models == {}
    (tmp_path / "dvc.lock").write_text(text_of({"train": train("a", "1")}))
    assert datasets(tmp_path) == {f"{md5('a')}.dir"}


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG = timedelta(days=30)
TIMES = {"base": int(NOON.timestamp())}


@pytest.mark.parametrize(
    ("started", "registered", "committed", "is_right"),
    [
        (NOON, NOON, NOON, True),
        (NOON + LONG, NOON + LONG, NOON + 2 * LONG, True),  # committed a month after it was trained
        (NOON, NOON + LONG, NOON, True),  # registered again, after a change of store
        (NOON - SKEW / 2, NOON, NOON, True),  # clocks differ
        (None, None, None, True),
        (NOON - LONG, NOON, NOON, False),  # before the commit it started from
        (NOON, NOON - LONG, NOON, False),
        (NOON + LONG, NOON, NOON + LONG, False),  # registered before it was trained
        (NOON + LONG, NOON + LONG, NOON, False),  # trained after Git held it
    ],
)
def test_moments_that_cannot_be_are_told_from_those_that_may(
    started: datetime | None, registered: datetime | None, committed: datetime | None, is_right: bool
) -> None:
    said = contradictions(TIMES, ("base", None, "unknown"), started=started, registered=registered, committed=committed)
    assert (said == []) == is_right
