"""Callbacks of one's own: one that fails is left out, a second tracker stands beside the first."""

from __future__ import annotations

import pytest
from baked import Project

CONF = """# Two listeners beside MLflow.
defaults:
  - mlflow
  - _self_

# It fails in the middle of the training.
weary:
  _target_: traceable_digits.listeners.Weary
# It comes before the one that counts.
rude:
  _target_: traceable_digits.listeners.Rude
# It keeps something of its own.
notes:
  _target_: traceable_digits.listeners.Notes
"""
LISTENERS = '''"""Listeners of the owner's own."""

from __future__ import annotations

from lineage.run.callbacks import Callback, Execution


class Weary(Callback):
    """Has enough after the first epoch."""

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        raise RuntimeError("no more of this")


class Rude(Callback):
    """Changes what others get to hear, keeps what no JSON can say, and would end the process."""

    def on_start(self, execution: Execution) -> None:
        if execution.stage.name == "evaluate":
            self.part(execution)["path"] = execution.root

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        values.clear()
        if step is None:
            raise SystemExit(3)


class Notes(Callback):
    """Counts what it has heard."""

    def on_start(self, execution: Execution) -> None:
        self.part(execution)["run_id"] = f"note of {execution.stage.name}"

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        part = self.part(execution)
        part["heard"] = part.get("heard", 0) + len(values)


class Strict(Weary):
    """The same, and the stage fails with it."""

    is_required = True
'''


@pytest.fixture(scope="module")
def listening(baseline: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = baseline.copy(tmp_path_factory.mktemp("listening"))
    (project.root / "traceable_digits" / "listeners.py").write_text(LISTENERS)
    (project.root / "conf" / "callbacks" / "more.yaml").write_text(CONF)
    return project


def test_one_that_fails_is_left_out_and_the_others_are_called(listening: Project) -> None:
    listening.compose("callbacks=more", "train=debug")
    output = listening.dvc("repro")
    assert output.count("warning: the callback weary failed in on_metrics (RuntimeError: no more of this)") >= 1
    record = listening.lineage["training_run"]
    assert record["run_id"] == listening.store().runs("train")[-1].info.run_id
    assert record["callbacks"]["notes"]["run_id"] == "note of train"
    assert record["callbacks"]["notes"]["heard"] == 6  # three numbers of the epoch, three of the best one
    assert "warning: the callback rude failed in on_metrics (SystemExit: 3)" in output
    assert "warning: the callback rude failed in on_start (TypeError: Object of type PosixPath is not JSON" in output
    (version,) = [one for one in listening.store().versions() if one.run_id == record["run_id"]]
    listening.commit("More listeners")
    listening.dvc("push", "--quiet")
    listening.run("lineage", "link")
    assert "  PASS" in listening.run("lineage", "verify", f"models:/{version.name}/{version.version}")


def test_one_that_is_required_fails_the_stage(listening: Project) -> None:
    conf = listening.root / "conf" / "callbacks" / "more.yaml"
    conf.write_text(CONF.replace("listeners.Weary", "listeners.Strict"))
    listening.compose("callbacks=more", "train=debug", "train.seed=2")
    before = len(listening.store().runs("train"))
    assert "RuntimeError: no more of this" in listening.dvc("repro", "--single-item", "train", code=255)
    runs = listening.store().runs("train")
    assert [run.info.status for run in runs[before:]] == ["FAILED"]


def test_one_that_cannot_be_made_is_told_in_a_sentence(listening: Project) -> None:
    conf = listening.root / "conf" / "callbacks" / "more.yaml"
    conf.write_text(CONF.replace("listeners.Weary", "listeners.Nobody"))
    listening.compose("callbacks=more", "train=debug", "train.seed=3")
    output = listening.dvc("repro", "--single-item", "train", code=255)
    assert "callbacks.weary: _target_ traceable_digits.listeners.Nobody cannot be imported" in output
    assert "Traceback" not in output
