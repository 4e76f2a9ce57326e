"""One process talks to MLflow for several stages: who finds it, what ends it, and what becomes of a stage then."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from baked import Project
from command import Lineage

pytestmark = pytest.mark.usefixtures("new_trackers")

CANDIDATE = "models:/traceable-digits@candidate"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where processes are found. Short: the name of a socket has at most 107 characters."""
    place = Path(tempfile.mkdtemp(prefix="run-"))
    yield place
    for process in processes(place):
        process.kill()
    shutil.rmtree(place)


@pytest.fixture
def project(linked: Project, tmp_path: Path, folder: Path) -> Project:
    """A copy of the linked project that shares no process with other tests."""
    project = linked.copy(tmp_path)
    project.environment["XDG_RUNTIME_DIR"] = str(folder)
    return project


def processes(folder: Path) -> list[psutil.Process]:
    """The shared processes that are found in `folder`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or ())
        if "lineage.tracking.process" in command and str(folder) in command and process.info["status"] != "zombie":
            found.append(process)
    return found


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)  # between two looks at the condition


def run(project: Project, stage: str) -> str:
    return project.dvc("repro", "--force", "--single-item", stage)


def test_stages_share_a_process_and_it_ends_when_nobody_can_find_it(project: Project, folder: Path) -> None:
    before = len(project.store().runs("evaluate"))
    run(project, "evaluate")
    (first,) = processes(folder)
    run(project, "evaluate")
    assert processes(folder) == [first]
    runs = project.store().runs("evaluate")
    assert [each.info.status for each in runs] == ["FINISHED"] * (before + 2)
    assert psutil.Process().pid not in [parent.pid for parent in first.parents()]  # nothing that ends a stage ends it
    (socket,) = (folder / f"lineage-{os.getuid()}").glob("*.socket")
    socket.unlink()
    until(lambda: not processes(folder))


WITHOUT = """
import runpy, sys
sys.argv = ["scripts/stage.py", "traceable_digits.stages.register"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("heavy:", sorted({"mlflow", "torch"} & {*sys.modules}))
"""


def test_a_model_is_registered_without_mlflow_in_the_stage(project: Project) -> None:
    project.store().client.delete_model_version("traceable-digits", "2")
    output = project.run("python", "-I", "-c", WITHOUT)
    assert "models:/traceable-digits/3 registered" in output
    assert "heavy: []" in output


def test_it_ends_when_nobody_calls(project: Project, folder: Path) -> None:
    (folder / "key").write_bytes(b"secret")
    script = "import sys; from lineage.tracking.process import main; main(*sys.argv[1:], idle=1)"
    project.run("python", "-c", script, str(folder / "socket"), str(folder / "key"), stdout=None)
    until(lambda: not processes(folder))
    assert not (folder / "socket").exists()


def test_it_is_killed_while_a_training_reports(project: Project, folder: Path) -> None:
    project.compose("train.epochs=25")
    process = project.start("dvc", "repro", "--single-item", "train")
    until(lambda: len(processes(folder)) == 1 and len(reported(project)) > 2)
    processes(folder)[0].kill()
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "warning" not in output
    assert reported(project) == list(range(1, 26))
    assert project.store().runs("train")[-1].info.status == "FINISHED"


def reported(project: Project) -> list[int]:
    """The epochs that MLflow has of the latest training, if that is one of 25."""
    store = project.store()
    latest = store.runs("train")[-1]
    if latest.data.params.get("train.epochs") != "25":
        return []
    return sorted(metric.step for metric in store.client.get_metric_history(latest.info.run_id, "train_loss"))


def test_a_store_that_was_replaced_is_the_one_that_counts(project: Project, folder: Path) -> None:
    run(project, "evaluate")
    store, copy = project.root / "mlflow.db", project.root / "copy.db"
    shutil.copyfile(store, copy)
    copy.replace(store)
    before = len(project.store().runs("evaluate"))
    run(project, "evaluate")
    assert len(project.store().runs("evaluate")) == before + 1
    until(lambda: len(processes(folder)) == 1)


def test_other_credentials_find_another_process(project: Project, folder: Path) -> None:
    run(project, "evaluate")
    project.environment["AWS_SECRET_ACCESS_KEY"] = "another"
    run(project, "evaluate")
    assert len(processes(folder)) == 2


@pytest.mark.parametrize("obstacle", ["others may read it", "no socket can be there"])
def test_where_there_can_be_none_a_stage_logs_by_itself(obstacle: str, project: Project, folder: Path) -> None:
    if obstacle == "others may read it":
        (folder / f"lineage-{os.getuid()}").mkdir(mode=0o755)
    else:
        project.environment["XDG_RUNTIME_DIR"] = str(folder / ("deep" * 30))
        (folder / ("deep" * 30)).mkdir()
    before = len(project.store().runs("evaluate"))
    run(project, "evaluate")
    assert len(project.store().runs("evaluate")) == before + 1
    assert processes(folder) == []


QUESTION = """
import sys
from lineage import cli
try:
    cli.main()
finally:
    print("heavy:", sorted({"mlflow", "dvc.repo", "pandas"} & {*sys.modules}), file=sys.stderr)
"""


def ask(project: Project, *arguments: str) -> tuple[int, str, str]:
    """Exit status and both outputs of `lineage` in a process that has not imported MLflow."""
    process = project.start("python", "-c", QUESTION, *arguments, stderr=-1)
    output, errors = process.communicate()
    return process.returncode, output, errors


@pytest.mark.parametrize("damage", ["none", "a number", "a tag", "a file"])
def test_commands_that_share_it_answer_as_if_they_asked_themselves(
    damage: str, project: Project, lineage: Lineage, folder: Path
) -> None:
    if damage == "a number":
        assert project.sql("UPDATE latest_metrics SET value = 0.999 WHERE key = 'val_accuracy'")
    elif damage == "a tag":
        assert project.sql("UPDATE model_version_tags SET value = 'other' WHERE key = 'data_sha256'")
    elif damage == "a file":
        for weights in (project.root / "mlartifacts").rglob("*.safetensors"):
            weights.write_bytes(b"other")
    for command in ("verify", "trace"):
        status, output, errors = ask(project, command, "--json", CANDIDATE)
        assert "heavy: []" in errors
        own = lineage.run(project, command, "--json", CANDIDATE)  # has imported MLflow, so that it asks by itself
        assert (status, json.loads(output)) == (own[0], json.loads(own[1]))
        assert status == (0 if damage == "none" or command == "trace" else 1)
    assert len(processes(folder)) == 1


def test_commands_say_what_the_store_has_not_and_what_it_refuses(
    project: Project, lineage: Lineage, folder: Path
) -> None:
    for question in (("verify", "models:/traceable-digits/9"), ("verify", "models:/traceable-digits@nobody")):
        status, _, errors = ask(project, *question)
        assert (status, errors.removesuffix("heavy: []\n")) == (2, lineage.run(project, *question)[2])
        assert f"has no {question[1]}" in errors
    project.sql("DROP TABLE model_version_tags")
    status, _, errors = ask(project, "verify", CANDIDATE)
    assert status == 2
    assert "could not look up an alias at sqlite:///mlflow.db: no such table: model_version_tags" in errors
    assert len(processes(folder)) == 1


def test_a_command_whose_process_is_killed_proves_nothing_and_the_next_one_does(project: Project, folder: Path) -> None:
    ended = """
import sys
from lineage import cli
from lineage.tracking.store import Store

look, folder = Store.places, sys.argv.pop()
def places(store, version):
    import psutil
    for process in psutil.process_iter(["cmdline"]):
        if folder in " ".join(process.info["cmdline"] or ()) and process.pid != psutil.Process().pid:
            process.kill()
            process.wait()
    return look(store, version)
Store.places = places
cli.main()
"""
    output = project.run("python", "-c", ended, "verify", CANDIDATE, str(folder), code=2, stdout=-1)
    assert "INCONCLUSIVE  version" in output
    assert "the process that talks to MLflow has ended; ask again" in output
    assert ask(project, "verify", CANDIDATE)[0] == 0


def test_where_there_can_be_no_process_a_command_asks_by_itself(project: Project, folder: Path) -> None:
    (folder / f"lineage-{os.getuid()}").mkdir(mode=0o755)  # others may read it
    status, output, errors = ask(project, "verify", CANDIDATE)
    assert status == 0, output + errors
    assert "heavy: ['mlflow'" in errors
    assert processes(folder) == []
