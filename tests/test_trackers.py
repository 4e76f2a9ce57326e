"""W&B beside MLflow, read back from the file that it keeps offline; and the third tracker of the manual."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from baked import Project
from command import Lineage

pytestmark = pytest.mark.usefixtures("new_processes")  # of another environment

KEY = "0123456789abcdef" * 2 + "fedcba98"  # looks like one of W&B's
CONFIG = ("python", "-I", "scripts/stage.py", "traceable_digits.stages.config")
TRAIN = ("python", "-I", "scripts/stage.py", "traceable_digits.stages.train")
CANDIDATE = "models:/traceable-digits@candidate"


def of_manual(project: Project, page: str, language: str) -> str:
    """The last block in this language of a page."""
    text = (project.root / "docs" / page).read_text()
    return text.rpartition(f"```{language}\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def with_wandb(installed: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with W&B as its lock says, that finds all other packages in the one that all tests share."""
    venv = tmp_path_factory.mktemp("wandb") / "venv"
    script, lock = installed.root / "scripts" / "environment.py", installed.root / "requirements-wandb.lock"
    command = [sys.executable, script, "--venv", venv, "--requirements", lock]
    subprocess.run(command, check=True, env=installed.variables)
    (own,) = venv.glob("lib/python*/site-packages")
    (others,) = installed.venv.glob("lib/python*/site-packages")
    (own / "others.pth").write_text(f"{others}\n")
    return venv


@pytest.fixture(scope="module")
def three(baseline: Project, with_wandb: Path, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a second model, whose runs are in MLflow, in W&B and in the journal of the manual."""
    folder = tmp_path_factory.mktemp("three")
    copy = baseline.copy(folder)
    home = {"HOME": str(folder / "home"), "WANDB_API_KEY": KEY}
    (folder / "home").mkdir()
    project = Project(copy.root, with_wandb, {**copy.environment, **home})
    (project.root / "traceable_digits" / "journal.py").write_text(of_manual(project, "trackers.md", "python"))
    (project.root / "conf" / "callbacks" / "journal.yaml").write_text(of_manual(project, "trackers.md", "yaml"))
    with (project.root / ".gitignore").open("a") as ignored:
        ignored.write("/journal/\n")
    project.compose("callbacks=[mlflow,wandb,journal]", "train=debug", "train.seed=5", "train.epochs=2")
    project.commit("Three trackers")
    project.dvc("repro")
    project.commit("Second model")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    return project


@pytest.fixture(scope="module")
def of_wandb(three: Project) -> dict[str, dict[str, Any]]:
    """What W&B keeps of the run of each stage."""
    return wandb_runs(three)


def wandb_runs(project: Project) -> dict[str, dict[str, Any]]:
    return {each["run"]["type"]: each for each in all_wandb_runs(project)}


def all_wandb_runs(project: Project) -> list[dict[str, Any]]:
    files = sorted(str(path) for path in (project.root / ".wandb").glob("offline-run-*/*.wandb"))
    found = json.loads(project.run("python", str(Path(__file__).with_name("read_wandb.py")), *files))
    return [each for each in found if each["run"]]  # not of a stage that was killed before it could say which


def test_config_summary_and_history_have_the_names_and_values_of_mlflow(
    three: Project, of_wandb: dict[str, dict[str, Any]]
) -> None:
    assert of_wandb.keys() == {"train", "evaluate", "register"}
    train, store = of_wandb["train"], three.store()
    run = store.runs("train")[-1]
    given = {key: str(value) for key, value in train["config"].items()}
    assert run.data.params.items() <= given.items()
    assert len(run.data.params) > 20
    outs = {"dvc_model_md5": "models/model.safetensors", "dvc_run_md5": "models/run.json"}
    made = {name: three.out("train", path) for name, path in outs.items()}
    of_start = {"dvc_data_md5", "data_sha256", "mlflow.source.git.commit", "project_id", "subjects_root"}
    assert {name: given[name] for name in of_start} == {name: run.data.tags[name] for name in of_start}
    assert made.items() <= train["summary"].items()
    assert train["summary"]["model_sha256"] == run.data.tags["model_sha256"]
    for key in ("train_loss", "val_loss", "val_accuracy"):
        points = store.client.get_metric_history(run.info.run_id, key)
        logged = [(point.step, point.value) for point in points if point.step]
        assert [(row["epoch"], row[key]) for row in train["history"]] == logged
    assert len(train["history"]) == 2
    scores = store.runs("evaluate")[-1].data.metrics
    assert {"test_accuracy", "test_loss"} <= scores.keys()
    assert scores.items() <= of_wandb["evaluate"]["summary"].items()
    assert [each["exit"] for each in of_wandb.values()] == [0, 0, 0]


def test_dataset_and_model_are_references_by_hash(three: Project, of_wandb: dict[str, dict[str, Any]]) -> None:
    data, model = three.out("preprocess", "data/processed"), three.out("train", "models/model.safetensors")
    for stage, inputs, made in (("train", [data], [model]), ("evaluate", [data, model], [])):
        artifacts = of_wandb[stage]["artifacts"]
        assert all(each["references"] == [f"dvc://md5/{each['metadata']['md5']}"] for each in artifacts)
        assert sorted(each["metadata"]["md5"] for each in artifacts if each["is_input"]) == sorted(inputs)
        assert [each["metadata"]["md5"] for each in artifacts if not each["is_input"]] == made
    assert {each["type"] for each in of_wandb["evaluate"]["artifacts"]} == {"dataset", "model"}


def test_each_run_names_the_others_and_trace_shows_all(
    three: Project, of_wandb: dict[str, dict[str, Any]], lineage: Lineage
) -> None:
    for stage in ("train", "evaluate", "register"):
        run, there = three.store().runs(stage)[-1], of_wandb[stage]
        assert there["config"]["mlflow_run_id"] == run.info.run_id
        assert run.data.tags["wandb_run_id"] == there["run"]["id"]
        assert there["run"]["group"] == of_wandb["train"]["run"]["id"]
        assert there["config"]["journal_run_id"] == run.data.tags["journal_run_id"]
    run, there = three.store().runs("train")[-1], of_wandb["train"]["run"]["id"]
    (model,) = json.loads(lineage(three, "trace", CANDIDATE, "--json"))["models"]
    assert model["training_run"]["id"] == run.info.run_id
    elsewhere = model["training_run"]["elsewhere"]
    assert elsewhere["wandb"] == {"run_id": there, "mode": "offline", "project": "traceable-digits"}
    assert elsewhere["journal"]["run_id"] == run.data.tags["journal_run_id"]
    text = lineage(three, "trace", CANDIDATE)
    assert f"run in wandb  {there}  mode offline, project traceable-digits" in text
    assert f"run in journal  {run.data.tags['journal_run_id']}" in text
    page = three.root.parent / "trace.html"
    lineage(three, "trace", CANDIDATE, "--html", str(page))
    assert there in page.read_text()


def test_the_model_is_proved_as_with_mlflow_alone(three: Project, lineage: Lineage) -> None:
    proof = lineage.verify(three, CANDIDATE)
    assert proof.not_passed == {}


def test_the_journal_of_the_manual_is_short_and_whole(three: Project) -> None:
    code = of_manual(three, "trackers.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 35
    (file,) = (three.root / "journal").glob(f"{three.store().runs('train')[-1].data.tags['journal_run_id']}.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0]["dvc_data_md5"] == three.out("preprocess", "data/processed")
    assert lines[1]["mlflow_run_id"] == three.store().runs("train")[-1].info.run_id
    assert [line["epoch"] for line in lines if "val_loss" in line] == [1, 2, None]
    assert lines[-1] == {"dvc_model_md5": three.out("train", "models/model.safetensors")} | lines[-1]
    assert lines[-1]["status"] == "FINISHED"


def test_the_key_and_what_wandb_would_find_out_are_nowhere(three: Project) -> None:
    project, home = three.root, Path(three.environment["HOME"])
    assert not [path for path in home.rglob("*") if "wandb" in path.name]
    files = [path for path in project.rglob("*") if path.is_file() and not path.is_symlink()]
    of_wandb = [path.name for path in files if ".wandb" in path.parts]
    assert len([name for name in of_wandb if name.endswith(".wandb")]) == 3
    assert not {"wandb-metadata.json", "requirements.txt", "output.log"} & {*of_wandb}
    assert [str(path) for path in files if KEY.encode() in path.read_bytes()] == []
    assert three.git("status", "--porcelain") == ""


def test_offline_connects_to_nothing(three: Project, tmp_path: Path) -> None:
    """Who would reach W&B reaches a door here instead; and where strace may be used, the kernel says who connects.

    A guard in Python would not see the process that W&B starts.
    """
    three.compose("callbacks=wandb", "train=debug", "train.seed=6")
    before = len(list((three.root / ".wandb").glob("offline-run-*")))
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        ways = dict.fromkeys(("WANDB_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), address)
        project = Project(three.root, three.venv, {**three.environment, **ways})
        request = "import socket, urllib.request as r; socket.setdefaulttimeout(1); r.urlopen('http://192.0.2.1/')"
        project.run("python", "-c", request, code=1)
        assert knocks(door) == 1
        assert traced(project, tmp_path / "stage", *TRAIN) == []
        assert knocks(door) == 0
    if can_trace(tmp_path / "works"):
        code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
        assert traced(three, tmp_path / "control", "python", "-c", code) == ["192.0.2.1"]
        assert "wandb-core" in (tmp_path / "stage").read_text()
    assert len(list((three.root / ".wandb").glob("offline-run-*"))) == before + 1
    record = json.loads((three.root / "models" / "run.json").read_text())
    assert "run_id" not in record
    assert record["callbacks"]["wandb"]["mode"] == "offline"
    assert record["started_from"]["mlflow.source.git.commit"] == three.git("rev-parse", "HEAD")


def knocks(door: socket.socket) -> int:
    """How many have connected since this was last asked."""
    door.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            door.accept()[0].close()
            count += 1
    return count


def can_trace(log: Path) -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(("strace", "-o", str(log), "true"), capture_output=True, check=False).returncode == 0


def traced(project: Project, log: Path, *command: str) -> list[str]:
    """The other machines that the command, or what it started, sent something to; none where nobody may look."""
    strace = ("strace", "-f", "-qq", "-e", "trace=connect,sendto,execve", "-o", str(log))
    project.run(*(strace if can_trace(log) else ()), *command)
    asked = re.findall(r'(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"', log.read_text() if log.exists() else "")
    return [address for address in asked if not address.startswith("127.") and address != "::1"]


def test_of_a_stage_that_is_killed_the_process_of_wandb_ends_and_the_run_is_named(
    three: Project, lineage: Lineage
) -> None:
    three.compose("callbacks=wandb", "train.epochs=5000", "train.seed=7")
    before = set((three.root / ".wandb").glob("offline-run-*/*.wandb"))
    stage = three.start(*TRAIN)
    try:
        while not set((three.root / ".wandb").glob("offline-run-*/*.wandb")) - before:
            assert stage.poll() is None, stage.communicate()[0]
            time.sleep(0.05)  # between two looks
        below = psutil.Process(stage.pid).children(recursive=True)
        service = next(each for each in below if "wandb-core" in each.name())
        stage.kill()
        service.wait(timeout=60)
    finally:
        stage.kill()
        stage.communicate()
    (note,) = (three.root / ".dvc" / "tmp" / "unfinished").glob("*.json")
    run_id = json.loads(note.read_text())["run of wandb"]["run_id"]
    sent = f"`wandb sync .wandb/offline-run-*-{run_id}` sends what there is of it, and closes it as failed."
    assert len(list((three.root / ".wandb").glob(f"offline-run-*-{run_id}"))) == 1
    named = f"run {run_id} of train in wandb was left open. {sent}"
    for _ in range(2):  # to look at it forgets nothing
        assert lineage.run(three, "jobs")[:2] == (1, f"{note.stem}  {named}\n")
    assert named in three.run(*CONFIG)
    assert lineage(three, "jobs") == "no job and no run that was begun here is open.\n"


def test_what_cannot_be_sent_is_a_warning_and_the_stage_goes_on(three: Project) -> None:
    del three.environment["WANDB_API_KEY"]
    three.compose("callbacks=[mlflow,wandb]", "callbacks.wandb.mode=online", "train=debug", "train.seed=8")
    said = three.run(*TRAIN)
    assert "warning: the callback wandb failed in on_start (TrackerError: W&B could not open a run: " in said
    assert "callbacks.wandb.mode=offline needs neither" in said
    assert "Traceback" not in said
    assert "wandb_run_id" not in three.store().runs("train")[-1].data.tags


def test_a_variable_sends_less_than_the_setting_never_more(three: Project) -> None:
    before = set((three.root / ".wandb").glob("*run-*"))
    three.compose("callbacks=wandb", "train=debug", "train.seed=9")
    environment = {**three.environment, "WANDB_MODE": "disabled"}
    Project(three.root, three.venv, environment).run(*TRAIN)
    assert set((three.root / ".wandb").glob("*run-*")) == before
    assert "callbacks" not in json.loads((three.root / "models" / "run.json").read_text())


def test_where_it_is_not_installed_the_first_stage_says_so(three: Project, baseline: Project) -> None:
    three.compose("callbacks=wandb", "train=debug")
    without = Project(three.root, baseline.venv, three.environment)
    said = without.run(*CONFIG, code=1)
    assert f"config: callbacks.wandb: W&B is not installed in {baseline.venv}. `make setup-wandb` installs it" in said
    assert len(said.strip().splitlines()) == 1


def test_in_the_place_of_mlflow_the_registry_is_still_mlflows(three: Project, lineage: Lineage) -> None:
    runs, versions = len(three.store().runs("train")), len(three.store().versions())
    three.compose("callbacks=wandb", "train=debug", "train.seed=10")
    three.dvc("repro")
    three.commit("W&B alone")
    three.dvc("push", "--quiet")
    assert (len(three.store().runs("train")), len(three.store().versions())) == (runs, versions + 1)
    assert three.store().candidate() == str(three.store().versions()[-1].version)
    (model,) = json.loads(lineage(three, "trace", CANDIDATE, "--json"))["models"]
    there = max((run for run in all_wandb_runs(three) if run["run"]["type"] == "train"), key=lambda run: run["started"])
    assert model["training_run"]["id"] == "unknown"
    assert model["training_run"]["elsewhere"]["wandb"]["run_id"] == there["run"]["id"]
    assert there["summary"]["dvc_model_md5"] == three.out("train", "models/model.safetensors")
    proof = lineage.verify(three, CANDIDATE)
    of_mlflow = ["training run", "parameters in MLflow", "metrics in MLflow", "other runs"]
    assert (proof.state, list(proof.not_passed)) == ("INCONCLUSIVE", of_mlflow)
    assert "trained without MLflow: no run was ever logged there" in proof.not_passed["training run"]
    lineage(three, "trace", CANDIDATE, "--html", str(three.root.parent / "alone.html"))
    assert there["run"]["id"] in (three.root.parent / "alone.html").read_text()
    assert f"run in wandb  {there['run']['id']}" in lineage(three, "trace", CANDIDATE)


def test_of_a_stage_in_a_job_that_lacks_wandb_the_numbers_come_back(three: Project, baseline: Project) -> None:
    folder, place = three.root / "traceable_digits" / "folder.py", three.root.parent / "jobs"
    other_python = f'["{baseline.venv}/bin/python", "-c", JOB]'
    code = of_manual(three, "backends.md", "python")
    assert code.count('[sys.executable, "-c", JOB]') == 1
    folder.write_text(code.replace('[sys.executable, "-c", JOB]', other_python))
    conf = of_manual(three, "backends.md", "yaml").replace("/tmp/jobs", str(place))
    (three.root / "conf" / "compute" / "folder.yaml").write_text(conf)
    own = {"PYTHONPATH": str(three.root)}  # its own package, as in an environment of its own
    composer = Project(three.root, baseline.venv, {**three.environment, **own})
    composer.compose("callbacks=[wandb,journal]", "compute=folder", "train=debug", "train.epochs=3")
    three.run(*TRAIN)
    (job,) = place.iterdir()
    there = max(all_wandb_runs(three), key=lambda run: run["started"])
    assert there["config"]["folder_job"] == job.name
    assert there["exit"] == 0
    with (three.root / "plots" / "training.csv").open(newline="") as file:
        written = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert [{key: row[key] for key in written[0]} for row in there["history"]] == written
    assert [row["epoch"] for row in written] == [1, 2, 3]
    assert json.loads((three.root / "metrics" / "train.json").read_text()).items() <= there["summary"].items()
    record = json.loads((three.root / "models" / "run.json").read_text())
    assert record["callbacks"]["wandb"]["run_id"] == there["run"]["id"]
    assert not list((job / "project").rglob("*wandb-core*")) and not (job / "project" / ".wandb").exists()
    lines = (three.root / "journal" / f"{record['callbacks']['journal']['run_id']}.jsonl").read_text().splitlines()
    assert [line["epoch"] for line in map(json.loads, lines) if "val_loss" in line] == [1, 2, 3, None]
    assert KEY not in json.dumps(there)
