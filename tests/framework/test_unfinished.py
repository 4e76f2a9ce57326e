from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lineage.compute.aftercare import before_a_stage, forget, look_after
from lineage.run.unfinished import FOLDER, Unfinished

# begins a job and a run, and goes on until its standard input ends
HOLDER = """
import sys
from pathlib import Path

from lineage.run.unfinished import Unfinished

unfinished = Unfinished(Path(sys.argv[1]), "train")
backend = "lineage.compute.sagemaker.backend.SageMaker"
job = {"backend": backend, "base": "p-train-1", "region": "eu-central-1", "account": "1", "name": "p-train-1-now"}
unfinished.begin("job", job)
unfinished.begin("run", {"run_id": "abc", "tracking_uri": "sqlite:///gone.db"})
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def without_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials anywhere."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


def notes(main: Path) -> list[Path]:
    return sorted((main / FOLDER).glob("*")) if (main / FOLDER).exists() else []


def test_nothing_is_written_before_something_is_begun(tmp_path: Path) -> None:
    with Unfinished(tmp_path, "train") as unfinished:
        unfinished.end("job")
    assert notes(tmp_path) == []
    assert look_after(tmp_path, stop=True) == []


def test_what_came_to_its_end_is_forgotten(tmp_path: Path) -> None:
    with Unfinished(tmp_path, "train") as unfinished:
        unfinished.begin("run", {"run_id": "abc"})
        unfinished.begin("job", {"base": "x"})
        unfinished.end("run")
        assert len(notes(tmp_path)) == 2  # the note and its lock
        unfinished.end("job")
        assert notes(tmp_path) == []


@pytest.mark.usefixtures("without_aws")
def test_a_note_outlives_who_wrote_it(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-B", "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        (found,) = look_after(tmp_path, stop=True)
        assert (found.is_open, found.is_followed) == (True, True)
        assert f"job p-train-1-now of train is followed by process {holder.pid}" in found.text
        assert not forget(tmp_path, found.name)
        holder.kill()
    (found,) = look_after(tmp_path, stop=True)
    assert (found.is_open, found.is_followed) == (True, False)
    assert "job p-train-1-now of train may go on and cost money: no AWS credentials were found" in found.text
    before_a_stage(tmp_path)
    assert "may go on and cost money" in capsys.readouterr().err
    before_a_stage(tmp_path)
    assert capsys.readouterr().err == ""  # the stage before has just tried
    assert len(look_after(tmp_path, stop=False)) == 1
    assert forget(tmp_path, found.name)
    assert look_after(tmp_path, stop=False) == []


def test_a_run_whose_store_is_gone_is_over(tmp_path: Path) -> None:
    with Unfinished(tmp_path, "train") as unfinished:
        unfinished.begin("run", {"run_id": "abc", "tracking_uri": "sqlite:///gone.db"})
    assert [found.is_open for found in look_after(tmp_path, stop=False)] == [False]
    assert notes(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000])
def test_a_note_that_cannot_be_read_is_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "train-1.json").write_text(text)
    (found,) = look_after(tmp_path, stop=True)
    assert found.is_open
    assert "cannot be read" in found.text
    assert forget(tmp_path, "train-1")
    assert look_after(tmp_path, stop=True) == []
