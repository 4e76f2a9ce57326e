"""A training that is killed at any moment: `dvc repro` goes on after its last checkpoint, and nothing differs."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from baked import Project
from test_kills import train_process

SEED, KILLS = 16, 3
OVERRIDES = ("train.epochs=150", "train.seed=5", "callbacks=none")  # some seconds
KEPT = Path(".dvc", "tmp", "kept", "train", "checkpoints")
MADE = ("models/model.safetensors", "metrics/train.json", "plots/training.csv")


def saved_epoch(project: Project) -> int:
    """The last epoch of which there is a checkpoint; 0 if there is none."""
    for path in (project.root / KEPT).glob("*/checkpoint"):
        with path.open("rb") as file:
            return int(json.loads(file.readline())["epoch"])
    return 0


def kill_train(project: Project, epoch: int, delay: float) -> int:
    """Kills dvc and its stage `delay` seconds after an epoch was saved. Returns the last epoch that was."""
    process = project.start("dvc", "repro", "train", start_new_session=True)
    dvc = psutil.Process(process.pid)
    while (now := saved_epoch(project)) < epoch:
        assert process.poll() is None, f"it ended before epoch {epoch}, after {now}"
        time.sleep(0.002)  # between two looks at the condition
    time.sleep(delay)  # some moment of the work
    victims = [dvc, *dvc.children(recursive=True)]
    for victim in victims:
        victim.kill()
    process.communicate()
    psutil.wait_procs(victims, timeout=60)
    project.mend_dvc()
    return saved_epoch(project)


def made(project: Project) -> dict[str, str]:
    return {path: project.out("train", path) for path in MADE}


def record(project: Project) -> dict[str, Any]:
    return dict(json.loads((project.root / "models" / "run.json").read_text()))


@pytest.fixture(scope="module")
def undisturbed(baseline: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = baseline.clone(tmp_path_factory.mktemp("undisturbed") / "project")
    project.compose(*OVERRIDES)
    project.dvc("repro", "train")
    return project


def test_killed_at_random_moments_it_ends_as_if_nothing_had_happened(sandbox: Project, undisturbed: Project) -> None:
    moments = random.Random(SEED)
    sandbox.compose(*OVERRIDES)
    after: list[int] = []
    for kill in range(KILLS):
        epoch = saved_epoch(sandbox) + moments.randint(1, 140 // KILLS - 10)
        after.append(kill_train(sandbox, epoch, moments.uniform(0, 0.03)))
        assert kill + 1 == len(set(after))
        assert not (sandbox.root / "models" / "model.safetensors").exists()  # a checkpoint is no result
    assert "kept" not in sandbox.git("status", "--porcelain", "--untracked-files=all")
    assert "checkpoint" not in (sandbox.root / "dvc.lock").read_text()

    sandbox.compose("train=debug", "train.lr=0.04", "callbacks=none")  # other inputs
    assert "going on" not in sandbox.dvc("repro", "train")
    assert "interruptions" not in record(sandbox)
    assert saved_epoch(sandbox) == after[-1]  # for whoever comes back to it

    sandbox.compose(*OVERRIDES)
    output = sandbox.dvc("repro", "train")
    assert f"going on after epoch {after[-1]}" in output
    assert made(sandbox) == made(undisturbed)
    interruptions = record(sandbox).pop("interruptions")
    assert [one["epochs"] for one in interruptions] == after
    assert [one["ended"] for one in interruptions] == ["unknown"] * KILLS  # who is killed says nothing
    assert all(one["begun"] <= one["saved"] <= one["resumed"] for one in interruptions)
    # nothing else of the record differs: code, inputs, machine, best epoch
    assert {**record(sandbox), "interruptions": None} == {**record(undisturbed), "interruptions": None}
    assert list((sandbox.root / KEPT).iterdir()) == []
    assert "Running stage" not in sandbox.dvc("repro", "train")


def test_interruptions_are_in_mlflow_and_in_the_chain(sandbox: Project) -> None:
    overrides = ("train.epochs=150", "train.seed=6")
    sandbox.compose(*overrides)
    assert saved_epoch(sandbox) == 0
    process = sandbox.start("dvc", "repro", "train", start_new_session=True)
    stage = train_process(psutil.Process(process.pid), sandbox.root)
    while saved_epoch(sandbox) < 3:
        assert process.poll() is None
        time.sleep(0.002)  # between two looks at the condition
    stage.terminate()
    assert "interrupted" in process.communicate()[0]
    output = sandbox.dvc("repro")
    (one,) = sandbox.lineage["training_run"]["interruptions"]
    assert "KeyboardInterrupt: signal 15" in one["ended"]
    assert f"going on after epoch {one['epochs']}" in output
    store = sandbox.store()
    before, run = store.runs("train")[-2:]
    assert (before.info.run_id, before.info.status, run.info.status) == (one["run_id"], "KILLED", "FINISHED")
    assert run.data.tags["interruptions"] == "1"
    assert run.data.tags["interrupted_after_epochs"] == str(one["epochs"])
    history = store.client.get_metric_history(run.info.run_id, "val_loss")
    assert [point.step for point in history if point.step] == list(range(1, 151))  # the whole curve
    version = store.versions()[-1].version
    sandbox.git("remote", "remove", "origin")  # to which nobody pushes here
    sandbox.commit("Interrupted")
    sandbox.dvc("push", "--quiet")
    sandbox.run("lineage", "link")
    shown = sandbox.run("lineage", "trace", f"models:/traceable-digits/{version}")
    assert f"interrupted after epoch {one['epochs']} (KeyboardInterrupt: signal 15" in shown
    assert "  PASS" in sandbox.run("lineage", "verify", f"models:/traceable-digits/{version}")


def test_without_resume_it_begins_at_the_beginning(sandbox: Project) -> None:
    sandbox.compose("train=debug", "train.resume=false", "callbacks=none")
    sandbox.dvc("repro", "train")
    assert "interruptions" not in record(sandbox)
    assert saved_epoch(sandbox) == 0
