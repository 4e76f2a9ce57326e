"""Jobs that nobody waits for any more, and jobs whose words are not to be trusted: nothing is forgotten or obeyed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from aws_standin import faults
from aws_standin.container import can_run
from aws_standin.place import client_of
from baked import Project
from cloud import REGION, settings
from command import Lineage
from damage import edit
from servers import aws_standin, mlflow_server

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
IDLE, SHOUTING, DONE, WAITING = (f"registry.example/{name}:1" for name in ("idle", "shouting", "done", "waiting"))
SCRIPTS = {
    IDLE: "exec sleep 600",
    WAITING: "until [ -e GO ]; do sleep 0.2; done",
    SHOUTING: r"printf 'OSCgo\n'; printf 'OSCwhy' > /opt/ml/output/message; exit 1",
    DONE: "touch /opt/ml/input/sm_training.env; exit 0",  # a file that a Training job's own script asks for
}
OSC = r"\033]0;owned\007\033[2J"  # as printf has it: another title for the window, and an empty screen
EXPIRED = '{"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"}'


@dataclass
class Account:
    """The stand-in, an MLflow server, and a project that sends `evaluate` there."""

    state: Path
    endpoint: str
    tracking: str
    project: Project
    composed: tuple[str, ...] = ()

    def compose(self, image: str, **more: str) -> None:
        wanted = tuple(settings(self.tracking, image=f"'{image}'", **more))
        if wanted != self.composed:
            self.project.compose(*wanted)
            self.composed = wanted

    def start(self) -> subprocess.Popen[str]:
        """A dvc that runs `evaluate`, in a group of its own, as in a terminal."""
        command = ("env", "--default-signal=INT", "dvc", "repro", "--force", "--single-item", "evaluate")
        return self.project.start(*command, start_new_session=True)

    def client(self) -> Any:
        return client_of("sagemaker", self.endpoint, REGION)

    def jobs(self) -> dict[str, str]:
        """Status by name."""
        listed = self.client().list_processing_jobs(MaxResults=100)["ProcessingJobSummaries"]
        names = [job["ProcessingJobName"] for job in listed]
        return {
            name: self.client().describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] for name in names
        }

    def notes(self) -> list[Path]:
        return list((self.project.root / ".dvc" / "tmp" / "unfinished").glob("*"))

    def runs(self) -> list[Any]:
        return self.project.store(self.tracking).runs("evaluate")

    def run_status(self) -> str:
        """Of the latest run."""
        return str(self.runs()[-1].info.status)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 900
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.2)  # between two looks at the condition

    @contextmanager
    def going_on(self) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """A running dvc whose job works, and the name of that job. All of it is over in the end."""
        known = set(self.jobs())
        process = self.start()
        try:
            self.until(lambda: self.is_followed(process))
            (name,) = set(self.jobs()) - known
            yield process, name
        finally:
            faults.forget(self.state)
            for member in family(process):
                member.kill()
            process.wait()
            self.project.mend_dvc()

    def is_followed(self, process: subprocess.Popen[str]) -> bool:
        """Whether the launcher knows the job's name."""
        assert process.poll() is None, process.communicate()[0]
        own = {member.pid for member in family(process)}
        noted = [json.loads(path.read_text()) for path in self.notes() if path.suffix == ".json"]
        return any(note["pid"] in own and "name" in note.get("job", {}) for note in noted)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    if process.poll() is not None:
        return []
    return [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]


@pytest.fixture(scope="module")
def account(linked: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("unfinished")
    images = {image: folder / f"image-{number}" for number, image in enumerate(SCRIPTS)}
    for image, place in images.items():
        place.mkdir()
        script = SCRIPTS[image].replace("OSC", OSC).replace("GO", str(folder / "go"))
        (place / "python3").write_text(f"#!/bin/sh\n{script}\n")
        (place / "python3").chmod(0o755)
    with aws_standin(folder, images) as endpoint:
        project = linked.copy(folder)
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": REGION}
        project.environment |= {**keys, "AWS_ENDPOINT_URL": endpoint}
        (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = s3://the-jobs/dvc\n")
        bucket = {"Bucket": "the-jobs", "CreateBucketConfiguration": {"LocationConstraint": REGION}}
        client_of("s3", endpoint, REGION).create_bucket(**bucket)
        with mlflow_server(project, folder / "mlflow.db") as tracking:
            yield Account(folder, endpoint, tracking, project)


@pytest.fixture(autouse=True)
def no_orders_left(account: Account) -> Iterator[None]:
    yield
    faults.forget(account.state)


def findings(lineage: Lineage, project: Project) -> dict[str, dict[str, str]]:
    return {finding["check"]: finding for finding in json.loads(lineage.run(project, "doctor", "--json")[1])}


def test_a_killed_launcher_then_a_failed_preflight(account: Account, lineage: Lineage) -> None:
    """The job and its run stay known until both are over, whatever is run in between and wherever."""
    project = account.project
    account.compose(IDLE)
    assert lineage(project, "jobs") == "no job and no run that was begun here is open.\n"
    with account.going_on() as (process, name):
        assert f"job {name} of evaluate is followed by process" in lineage(project, "jobs")
        assert findings(lineage, project)["jobs"]["state"] == "right"
        for member in family(process):
            member.kill()
        process.wait()
    assert account.jobs()[name] == "InProgress"
    assert f"job {name} of evaluate is InProgress and nobody waits for it" in lineage(project, "jobs", code=1)
    finding = findings(lineage, project)["jobs"]
    assert (finding["state"], finding["fix"]) == ("wrong", "lineage jobs --stop")
    assert name in finding["text"]

    account.compose(IDLE, bucket="nobodys-bucket")
    output = project.dvc("repro", "--force", "--single-item", "evaluate", code=255)
    assert "could not use the bucket nobodys-bucket" in output
    assert f"job {name} of an earlier evaluate, which nobody waits for, is asked to stop" in output
    assert account.run_status() == "KILLED"
    account.until(lambda: account.jobs()[name] == "Stopped")
    assert f"job {name} of evaluate is over (Stopped)" in lineage(project, "jobs")
    assert account.notes() == []


def test_credentials_that_expire_then_a_run_here(account: Account, lineage: Lineage) -> None:
    project = account.project
    account.compose(IDLE)
    with account.going_on() as (process, name):
        faults.order(account.state, r"POST SageMaker\..*", status="400 Bad Request", times=1000, body=EXPIRED)
        output = process.communicate(timeout=300)[0]
        assert "token included in the request is expired" in output
        assert "may go on" in output
        said = lineage(project, "jobs", "--stop", code=1)
        assert f"job {name} of evaluate may go on and cost money: could not list the jobs" in said
    assert account.jobs()[name] == "InProgress"
    project.environment["PIPELINE_COMPUTE"] = "local"
    try:
        output = project.dvc("repro", "--force", "--single-item", "config")
    finally:
        del project.environment["PIPELINE_COMPUTE"]
    assert f"job {name} of an earlier evaluate, which nobody waits for, is asked to stop" in output
    account.until(lambda: account.jobs()[name] == "Stopped")
    lineage(project, "jobs")
    assert account.notes() == []


def test_ctrl_c_twice(account: Account, lineage: Lineage) -> None:
    account.compose(IDLE)
    with account.going_on() as (process, name):
        for _ in range(3):
            for member in family(process):
                member.send_signal(signal.SIGINT)
            time.sleep(0.3)  # between two presses of a person
        process.communicate(timeout=300)
    account.until(lambda: account.jobs()[name] == "Stopped")
    assert account.run_status() == "KILLED"
    lineage(account.project, "jobs")
    assert account.notes() == []


def test_what_a_job_says_does_not_reach_the_terminal_raw(account: Account) -> None:
    account.compose(SHOUTING)
    output = account.project.dvc("repro", "--force", "--single-item", "evaluate", code=255)
    assert "\x1b" not in output
    assert "\x07" not in output
    assert r"\x1b]0;owned\x07\x1b[2Jgo" in output  # its log
    assert r"\x1b]0;owned\x07\x1b[2Jwhy" in output  # its reason
    assert "Traceback" not in output
    assert account.run_status() == "FAILED"
    assert account.notes() == []


def test_a_report_that_is_none(account: Account) -> None:
    report = {"entry": {"deps": [], "outs": [{"path": "metrics/test.json", "md5": "../../../etc/passwd"}]}}
    faults.order(account.state, r"GET /the-jobs/.*/reports/.*", status="200 OK", body=json.dumps(report))
    account.compose(DONE)
    output = account.project.dvc("repro", "--force", "--single-item", "evaluate", code=255)
    assert "the outs in the report of job" in output
    assert "Traceback" not in output
    assert account.notes() == []


Entry = dict[str, Any]


def answer(account: Account, entry: Entry) -> None:
    """Lets the next job's report hold this entry, whatever the job did."""
    body = json.dumps({"entry": entry, "job": {}})
    faults.order(account.state, r"GET /the-jobs/.*/reports/.*", status="200 OK", body=body)


def test_a_report_of_something_else_than_was_asked(account: Account) -> None:
    """See test_reports.py for the other ways."""
    account.compose(DONE)
    entry = account.project.lock["evaluate"]
    entry["deps"][0]["md5"] = f"{'0' * 32}.dir"
    answer(account, entry)
    before = account.project.results()
    output = account.project.dvc("repro", "--force", "--single-item", "evaluate", code=255)
    assert "worked with another data/processed" in output
    assert "Traceback" not in output
    assert account.project.results() == before
    assert account.run_status() == "FAILED"
    assert account.notes() == []


def test_a_report_with_something_that_nobody_asked_for(account: Account) -> None:
    """It is not fetched, and not recorded."""
    account.compose(DONE)
    entry = account.project.lock["evaluate"]
    account.project.dvc("push", "--quiet")
    for path in ("lineage.json", "scripts/stage.py", "../beside.txt"):
        entry["outs"].append({**entry["outs"][0], "path": path})
    answer(account, entry)
    before = account.project.results(), (account.project.root / "scripts" / "stage.py").read_bytes()
    account.project.dvc("repro", "--force", "--single-item", "evaluate")
    assert (account.project.results(), (account.project.root / "scripts" / "stage.py").read_bytes()) == before
    assert not (account.project.root.parent / "beside.txt").exists()


def test_a_setting_that_changes_here_while_the_job_works(account: Account) -> None:
    """dvc would record the new one for what the job made with the old one."""
    account.compose(WAITING)
    project, go = account.project, account.state / "go"
    answer(account, project.lock["evaluate"])
    before, params = project.results(), project.root / "params.yaml"
    with account.going_on() as (process, _):
        edit(params, "batch_size: 256", "batch_size: 128")()
        go.touch()
        output = process.communicate(timeout=300)[0]
        go.unlink()
    assert process.returncode != 0
    assert "evaluate.batch_size (256 -> 128) changed while it worked" in output
    assert project.results() == before


def test_what_would_leave_the_machine(account: Account, lineage: Lineage) -> None:
    project, jobs, known = account.project, account.jobs(), len(account.runs())
    listed = lineage(project, "jobs", "--dry-run")
    assert "  dvc.yaml\n" in listed
    assert "would go to a job" in listed
    key = account.state / "id_of_me"
    key.write_text("-----BEGIN OPENSSH " + "PRIVATE KEY-----\n")
    (project.root / "notes.txt").symlink_to(key)
    (project.root / "kubeconfig").write_text("x")
    project.git("add", "notes.txt", "kubeconfig")
    account.compose(DONE)
    try:
        for said in (
            lineage(project, "jobs", "--dry-run", code=1),
            project.dvc("repro", "--force", "--single-item", "evaluate", code=255),
        ):
            assert f"notes.txt (really {key}, outside of the project)" in said
            assert "kubeconfig (a usual name of secrets)" in said
    finally:
        project.git("rm", "--quiet", "--force", "notes.txt", "kubeconfig")
    assert (account.jobs(), len(account.runs())) == (jobs, known)
