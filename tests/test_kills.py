"""`kill -9` of dvc, of the stage, of both: the next `dvc repro` gives what an undisturbed one gives."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import psutil
import pytest
from baked import Project

OVERRIDES = ("train.epochs=200", "train.seed=5")  # long enough to be killed in the middle of it


def train_process(dvc: psutil.Process, root: Path) -> psutil.Process:
    """The stage train below a running dvc, once its run is open. A shell may stand between the two."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            for noted in [json.loads(path.read_text()) for path in notes(root)]:
                if "run of mlflow" in noted and dvc in psutil.Process(noted["pid"]).parents():
                    return psutil.Process(noted["pid"])
        except (psutil.Error, FileNotFoundError):
            pass
        assert dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE, "dvc ended before train began"
        time.sleep(0.02)  # or this would take a processor from what it waits for
    pytest.fail("train did not begin")


def notes(root: Path) -> list[Path]:
    return list((root / ".dvc" / "tmp" / "unfinished").glob("train-*.json"))


@pytest.mark.parametrize("victims", ["dvc", "stage", "both"])
def test_the_next_repro_is_as_if_nothing_had_happened(
    victims: str, sandbox: Project, undisturbed: dict[str, str]
) -> None:
    sandbox.git("reset", "--hard", "--quiet")  # dvc stages dvc.lock, so a checkout would bring the last turn's
    sandbox.dvc("checkout", "--quiet", code=None)
    sandbox.compose(*OVERRIDES, "train.deterministic=true")
    runs = (
        {run.info.run_id for run in sandbox.store().runs("train")} if (sandbox.root / "mlflow.db").exists() else set()
    )
    process = sandbox.start("dvc", "repro", "train", start_new_session=True)
    dvc = psutil.Process(process.pid)
    stage = train_process(dvc, sandbox.root)
    try:
        if victims == "dvc":
            stage.suspend()  # an orphan that goes on: left alone it notices within an epoch that dvc is gone
            dvc.kill()
            process.wait()  # reaped, as a shell would do: to dvc a zombie is a process that still holds its lock
            output = sandbox.dvc("repro", "train", code=None)
            assert f"process {stage.pid}" in output
            assert f"kill {stage.pid}" in output
            assert "Traceback" not in output
            stage.resume()
        elif victims == "stage":
            stage.kill()
        else:
            dvc.kill()
            stage.kill()
        process.communicate()
        stage.wait(timeout=300)
    finally:
        if stage.is_running():
            stage.kill()
    sandbox.mend_dvc()
    assert not (sandbox.root / "models" / "model.safetensors").exists()

    shutil.rmtree(
        sandbox.root / ".dvc" / "cache" / "runs", ignore_errors=True
    )  # what the other victims' turns left: train runs again
    sandbox.compose("train=debug", "train.seed=5")
    sandbox.dvc("repro")
    assert {
        "data": sandbox.out("preprocess", "data/processed"),
        "model": sandbox.out("train", "models/model.safetensors"),
        "scores": sandbox.out("evaluate", "metrics/test.json"),
    } == undisturbed
    assert "Running stage" not in sandbox.dvc("repro")
    assert list(sandbox.root.rglob("*.partial*")) == []
    assert notes(sandbox.root) == []
    interrupted = [run for run in sandbox.store().runs("train") if run.info.run_id not in runs]
    assert {run.info.status for run in interrupted} <= {"FINISHED", "KILLED", "FAILED"}
    assert any(run.info.status != "FINISHED" for run in interrupted)


@pytest.fixture(scope="module")
def undisturbed(baseline: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Hashes of the same pipeline in a clone where nothing is killed."""
    project = baseline.clone(tmp_path_factory.mktemp("undisturbed") / "project")
    project.compose("train=debug", "train.seed=5")
    project.dvc("repro", "evaluate")
    return {
        "data": project.out("preprocess", "data/processed"),
        "model": project.out("train", "models/model.safetensors"),
        "scores": project.out("evaluate", "metrics/test.json"),
    }
