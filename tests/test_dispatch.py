"""Stages as SageMaker jobs: the same pipeline, the same hashes, and every way in which a job can fail."""

from __future__ import annotations

import json
import shutil
import signal
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from aws_standin.container import can_run
from aws_standin.interruptions import Order, left, order
from baked import Project
from cloud import BUCKETS, IMAGE, OLD_IMAGE, SECRET, Cloud, cloud, settings
from command import Lineage
from servers import git_server, mlflow_server

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
WEIGHTS = "models/model.safetensors"
# what a careless value does where a shell sees it
SALT = 'it\'s $(touch /tmp/pwned) `id` "x" ; & | $HOME'
SALTED = f"data.sampling.salt={json.dumps(SALT)}"
TOKEN = "token-of-the-owner-8f3a"
# in the package, which the registered model holds too; and beside it the names that MLflow does not take
ODD_NAMES = ('traceable_digits/model/it"s.txt', "traceable_digits/model/ümläut.txt")
ODDER_NAMES = ("docs/back\\slash.txt", "docs/tab\there.txt", "docs/new\nline.txt", "docs/line\u2028separator.txt")
UNLISTED = 23  # the number of a patient whom the consent registry does not list


def quick(tracking: str, *more: str) -> list[str]:
    """Overrides for a short training in jobs whose image has everything."""
    return ["train=debug", *settings(tracking, install="image"), *more]


@pytest.fixture(scope="module")
def sky(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A project that was run from raw data to a registered model, every stage that can be in a job."""
    with cloud(tmp_path_factory.mktemp("sky"), installed) as running:
        project = running.project
        (project.root / ".env").write_text(f"TOKEN={TOKEN}\n")  # Git ignores it
        for name in (*ODD_NAMES, *ODDER_NAMES):
            (project.root / name).write_text("read by nobody, and packed\n")
        (project.root / ".dvc" / "config.local").write_text(
            f"['remote \"storage\"']\n    secret_access_key = {TOKEN}\n    access_key_id = x\n"
        )
        project.compose(*quick(running.tracking, SALTED, "compute.sagemaker.install=lock"))
        said = project.dvc("repro", "preprocess")
        assert "installing requirements.lock" in said
        add_journal(project)
        project.compose(*quick(running.tracking, SALTED, "callbacks=[mlflow,journal]"))
        (running.state / "repro.log").write_text(said + project.dvc("repro"))
        project.commit("First model")
        project.dvc("push", "--quiet")
        project.run("lineage", "link")
        yield running
        assert running.left_the_machine() == ""


def add_journal(project: Project) -> None:
    """The tracker of the manual, which is not in the jobs."""
    page = (project.root / "docs" / "trackers.md").read_text()
    for path, language in (("traceable_digits/journal.py", "python"), ("conf/callbacks/journal.yaml", "yaml")):
        (project.root / path).write_text(page.rpartition(f"```{language}\n")[2].partition("```")[0])
    with (project.root / ".gitignore").open("a") as ignored:
        ignored.write("/journal/\n")


@pytest.fixture(scope="module")
def untracked(sky: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    """The same sky over a copy that nobody tracks runs of: for what has nothing to do with MLflow."""
    project = sky.copy(tmp_path_factory.mktemp("untracked"))
    project.compose(*quick(sky.tracking, SALTED, "callbacks=none"))
    project.commit("Untracked")
    return replace(sky, project=project)


def store_runs(sky: Cloud, stage: str) -> list[Any]:
    return sky.project.store(sky.tracking).runs(stage)


def test_from_raw_data_to_a_verified_version(sky: Cloud, lineage: Lineage) -> None:
    assert sky.project.params["data"]["sampling"]["salt"] == SALT
    proof = lineage.verify(sky.project, "models:/traceable-digits@candidate", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})
    store = sky.project.store(sky.tracking)
    jobs = {job.get("TrainingJobName") or job["ProcessingJobName"]: job for job in sky.jobs()}
    for stage in ("preprocess", "train", "evaluate"):
        (run,) = store.runs(stage)
        tags = run.data.tags
        job = jobs[tags["sagemaker_job_name"]]
        assert tags["sagemaker_job_arn"] == job.get("TrainingJobArn") or job["ProcessingJobArn"]
        assert tags["sagemaker_image"] == IMAGE
        assert tags["sagemaker_instance_type"].startswith("ml.")
        assert int(tags["sagemaker_billable_seconds"]) > 0
        assert tags["lineage_status"] == "linked"
        assert ("environment_md5" in tags) == (stage != "preprocess")
    assert all(not job.get("HyperParameters") for job in jobs.values())  # they would go through a shell
    (run,) = store.runs("train")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["train_loss"] > 0
    assert "packages.txt" in store.artifacts(run)
    (model,) = json.loads(lineage(sky.project, "trace", "models:/traceable-digits/1", "--json"))["models"]
    assert model["training_run"]["job"]["sagemaker_job_name"] == run.data.tags["sagemaker_job_name"]
    assert "job  sagemaker job name" in lineage(sky.project, "trace", "models:/traceable-digits/1")
    assert not Path("/tmp/pwned").exists()


def test_a_tracker_that_is_not_in_the_job_hears_of_its_numbers(sky: Cloud) -> None:
    (run,) = store_runs(sky, "train")
    journal = (sky.project.root / "journal" / f"{run.data.tags['journal_run_id']}.jsonl").read_text()
    epochs = [line for line in map(json.loads, journal.splitlines()) if line.get("epoch")]
    (point,) = sky.project.store(sky.tracking).client.get_metric_history(run.info.run_id, "train_loss")
    assert [(line["epoch"], line["train_loss"]) for line in epochs] == [(point.step, point.value)]
    assert sky.project.lineage["training_run"]["callbacks"]["journal"]["run_id"] == run.data.tags["journal_run_id"]


def test_the_same_hashes_here_and_there_and_no_stage_runs_again(sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.compose(*(item for item in quick(sky.tracking, SALTED) if item != "compute=sagemaker"))
    output = project.dvc("repro")
    assert [line for line in output.splitlines() if line.startswith("Running stage")] == ["Running stage 'config':"]
    there = {stage: project.lock[stage] for stage in ("preprocess", "train", "evaluate")}
    jobs = len(sky.job_names())
    project.dvc("repro", "--force", "evaluate")
    assert len(sky.job_names()) == jobs
    for stage, path in (("preprocess", "data/processed"), ("train", WEIGHTS), ("evaluate", "metrics/test.json")):
        assert project.out(stage, path) == next(out["md5"] for out in there[stage]["outs"] if out["path"] == path)


@pytest.mark.parametrize("instances", [pytest.param(1, marks=pytest.mark.long), 2])
def test_torch_gives_the_same_weights_here_and_there(
    instances: int, sky: Cloud, default: Project, tmp_path: Path
) -> None:
    """Two processes on two instances, which are taken away once, and on this machine."""
    project = with_torch(sky, default, tmp_path)
    count = f"compute.sagemaker.training.instance_count={instances}"
    # an instance has its cores for fewer processes, and threads are part of the result
    spot = ["train.epochs=6", "compute.sagemaker.training.spot=true"] if instances == 2 else []
    project.compose(*quick(sky.tracking, SALTED, f"train.processes={instances}", "train.threads=1", count, *spot))
    order(sky.state, *[Order("traceable-digits-train-.*", saves=3, grace=0)] * len(spot[1:]))
    known = sky.job_names(), len(store_runs(sky, "train"))
    output = project.dvc("repro", "--single-item", "train")
    there, record = project.out("train", WEIGHTS), json.loads((project.root / "models" / "run.json").read_text())
    [job] = (sky.job(name) for name in sky.job_names() if name not in known[0])
    assert job["ResourceConfig"]["InstanceCount"] == instances
    assert [one["epochs"] > 0 for one in record.get("interruptions", [])] == [True] * len(spot[1:])
    assert left(sky.state) == 0
    assert "[algo-2] stage train is done here" in output or instances == 1
    assert "torch" in record["machine"]
    assert record["machine"]["processes"] == instances
    assert "traceable_digits/stages/train.py" in record["worked_with"]["deps"]
    project.environment["PIPELINE_COMPUTE"] = "local"
    project.dvc("repro", "--force", "--single-item", "--no-run-cache", "train")
    assert len(sky.job_names()) == len(known[0]) + 1
    assert project.out("train", WEIGHTS) == there
    here = json.loads((project.root / "models" / "run.json").read_text())
    assert here["code"].items() <= record["code"].items()  # the job's own comes to it
    assert "lineage/run/launcher.py" in here["code"] or instances == 1
    runs = store_runs(sky, "train")[known[1] :]
    assert [run.data.params["train.processes"] for run in runs] == [str(instances)] * 2  # type: ignore[attr-defined]
    assert list(project.root.rglob("*.partial*")) == []


@pytest.mark.long
@pytest.mark.parametrize("way", ['raise ValueError("not finite")', "os.kill(os.getpid(), 9)"])
def test_a_rank_that_dies_on_another_instance(way: str, sky: Cloud, default: Project, tmp_path: Path) -> None:
    project = with_torch(sky, default, tmp_path)
    network = project.root / "traceable_digits" / "model" / "networks.py"
    forward = "        logits: Tensor = self.head(self.features"
    dies = f'        import os\n        if self.training and os.environ.get("RANK") == "1":\n            {way}\n'
    network.write_text(network.read_text().replace(forward, dies + forward, 1))
    project.compose(*quick(sky.tracking, "train.processes=2", "compute.sagemaker.training.instance_count=2"))
    before = project.results()
    output = project.dvc("repro", "--force", "--single-item", "train", code=255)
    said = "failed: ValueError: not finite (networks.py, line" if "raise" in way else "was ended by SIGKILL"
    [reason] = (line for line in output.splitlines() if "did not end well" in line)
    assert f"rank 1 of 2 on machine 2 of 2 {said}" in reason
    assert project.results() == before
    assert list(project.root.rglob("*.partial*")) == []


def with_torch(sky: Cloud, default: Project, folder: Path) -> Project:
    """A copy whose package is that of a project as it is baked."""
    project = sky.copy(folder)
    package = project.root / "traceable_digits"
    shutil.rmtree(package)
    shutil.copytree(default.root / package.name, package, ignore=shutil.ignore_patterns("__pycache__"))
    return project


def test_what_a_job_made_is_reproduced_here(sky: Cloud, lineage: Lineage) -> None:
    jobs = len(sky.job_names())
    output = lineage(sky.project, "reproduce", "models:/traceable-digits/1", "--here")
    assert "bit-identical, 13 of 13 outputs" in output
    assert len(sky.job_names()) == jobs


def test_no_secret_leaves_the_machine(sky: Cloud) -> None:
    texts = {"logs": sky.logs().encode(), "requests": json.dumps(sky.jobs(), default=str).encode()}
    for bucket in BUCKETS:
        for key, data in sky.objects(bucket).items():
            texts[f"{bucket}/{key}"] = data
            if key.endswith("project.tar.gz"):
                with tarfile.open(fileobj=BytesIO(data)) as archive:
                    assert ".env" not in archive.getnames()
                    for member in archive.getmembers():
                        file = archive.extractfile(member)
                        texts[f"{key}:{member.name}"] = file.read() if file else b""
    for stage in ("preprocess", "train", "evaluate", "register"):
        for run in store_runs(sky, stage):
            texts[f"run of {stage}"] = json.dumps(run.to_dictionary()).encode()  # type: ignore[attr-defined]
    assert len(texts) > 100
    assert [name for name, data in texts.items() if TOKEN.encode() in data or SECRET.encode() in data] == []


def test_one_stage_for_one_call(sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.environment["PIPELINE_COMPUTE"] = "evaluate=local"
    before = (project.root / "params.yaml").read_text()
    jobs = len(sky.job_names())
    project.dvc("repro", "--force", "--single-item", "evaluate")
    assert len(sky.job_names()) == jobs
    assert (project.root / "params.yaml").read_text() == before
    kept = results(project)
    for given, said in (
        ("evaluate=moon", "evaluate cannot run on 'moon'"),
        ("moon", "preprocess cannot run on 'moon'"),
    ):
        project.environment["PIPELINE_COMPUTE"] = given
        assert said in project.dvc("repro", "--force", "--single-item", "evaluate", code=255)
    assert results(project) == kept


def test_who_revokes_is_in_no_job(sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    rows = [f"PAT-{number:05d},active,2024-01-31T08:30:00Z" for number in range(1, 321) if number != UNLISTED]
    registry = "\n".join(["subject_id,consent_status,effective_at", *rows, ""])
    (project.root / "consent.csv").write_text(registry)
    project.compose(*quick(sky.tracking, SALTED, "privacy=registry", "compute.train=local", "compute.evaluate=local"))
    output = project.dvc("repro", "preprocess")
    assert "stage preprocess is done" in output  # a line of the job's log
    subjects = set(pq.read_table(project.root / "data/processed/manifest.parquet")["subject_id"].to_pylist())
    assert f"PAT-{UNLISTED:05d}" not in subjects
    assert len(subjects) == 319
    (project.root / "consent.csv").write_text(registry.replace("PAT-00024,active", "PAT-00024,revoked"))
    jobs = len(sky.job_names())
    assert "is not active any more" in run_stage(project, "preprocess", code=255)
    assert len(sky.job_names()) == jobs


def run_stage(project: Project, stage: str, code: int | None = 0) -> str:
    """Runs one stage again, as DVC does."""
    return project.dvc("repro", "--force", "--single-item", "--no-run-cache", stage, code=code)


@pytest.mark.parametrize(
    ("request_", "status", "times", "said"),
    [
        (r"PUT /the-jobs/.*", "403 Forbidden", 1, "could not"),
        (r"POST SageMaker.CreateProcessingJob", "400 Bad Request", 1, "could not start a Processing job"),
        (r"GET /the-jobs/traceable-digits/reports/.*", "403 Forbidden", 1, "could not read s3://the-jobs/"),
        (r"HEAD /the-jobs/?", "403 Forbidden", 1, "could not use the bucket the-jobs"),
    ],
)
def test_what_aws_refuses_is_said_and_nothing_is_changed(
    request_: str, status: str, times: int, said: str, untracked: Cloud, tmp_path: Path
) -> None:
    sky, project = untracked, untracked.copy(tmp_path)
    before = results(project)
    sky.fail(request_, status=status, times=times)
    output = run_stage(project, "evaluate", code=None)
    assert sky.faults_left == 0
    assert said in output
    assert "Traceback" not in output
    assert project.git("status", "--porcelain") == ""
    assert list(project.root.rglob("*.partial*")) == []
    assert results(project) == before


def results(project: Project) -> dict[Path, bytes]:
    """The files that evaluate makes."""
    files = [path for folder in ("metrics", "plots") for path in (project.root / folder).iterdir()]
    return {path: path.read_bytes() for path in files}


def shard_of(project: Project) -> dict[str, str]:
    """The object in the remote that is a shard of the dataset version."""
    listing = json.loads(project.cached(project.out("preprocess", "data/processed")).read_text())
    shard = next(entry["md5"] for entry in listing if entry["relpath"].startswith("shards/"))
    return {"Bucket": "the-data", "Key": f"dvc/files/md5/{shard[:2]}/{shard[2:]}"}


def test_the_network_is_lost_for_a_while_and_an_object_before(untracked: Cloud, tmp_path: Path) -> None:
    """The object is on disk here, so it is put there again."""
    sky, project = untracked, untracked.copy(tmp_path)
    place = shard_of(project)
    sky.client("s3").delete_object(**place)
    sky.fail(r"POST SageMaker.DescribeProcessingJob", status="503 Service Unavailable", times=3)
    sky.fail(r"POST Logs_20140328.*", status="503 Service Unavailable", times=2)
    project.environment["AWS_DEFAULT_REGION"] = "us-west-2"  # AWS_REGION says another one, and counts
    assert "stage evaluate is done" in run_stage(project, "evaluate")  # a line of the job's log
    assert sky.faults_left == 0
    assert sky.client("s3").head_object(**place)["ContentLength"] > 0
    assert project.git("status", "--porcelain") == ""


def test_an_object_that_came_back_with_other_bytes(untracked: Cloud, tmp_path: Path) -> None:
    sky, project = untracked, untracked.copy(tmp_path)
    scores = project.out("evaluate", "metrics/test.json")
    shutil.rmtree(project.root / ".dvc" / "cache" / "files" / "md5" / scores[:2])
    sky.fail(f"GET /the-data/dvc/files/md5/{scores[:2]}/{scores[2:]}", status="200 OK", body="{}", times=1)
    output = run_stage(project, "evaluate", code=255)
    assert scores in output
    assert "holds other bytes" in output
    assert project.git("status", "--porcelain") == ""


KMS = "User: jobs is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext"
REFUSED = f'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>{KMS}</Message></Error>'


@pytest.mark.parametrize("way", ["lost", "refused"])
def test_an_object_that_the_remote_loses_meanwhile(way: str, untracked: Cloud, tmp_path: Path) -> None:
    sky, project = untracked, untracked.copy(tmp_path)
    answer = {"status": "404 Not Found"} if way == "lost" else {"status": "403 Forbidden", "body": REFUSED}
    sky.fail(f"GET /the-data/{shard_of(project)['Key']}", times=100, **answer)
    try:
        output = run_stage(project, "evaluate", code=255)
    finally:
        sky.forget_faults()
    assert "could not bring the inputs" in output
    assert ("Missing: kms:Decrypt" in output) == (way == "refused")
    assert "Traceback" not in output.partition("did not end well")[2]
    assert project.git("status", "--porcelain") == ""


def test_a_stage_that_fails_in_its_job_tells_why(sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.compose(*quick(sky.tracking, "data.fraction=0.004"))
    output = project.dvc("repro", code=255)
    assert "did not end well" in output
    assert "preprocess:" in output.partition("did not end well")[2]
    last = store_runs(sky, "preprocess")[-1]
    assert last.info.status == "FAILED"  # type: ignore[attr-defined]
    assert "sagemaker_job_name" in last.data.tags  # type: ignore[attr-defined]


def test_the_torch_of_the_image_is_kept_and_said(sky: Cloud, lineage: Lineage, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    image = {"install": "lock", "image": OLD_IMAGE}
    overrides = [f"compute.sagemaker.{key}={value}" for key, value in image.items()]
    project.compose(*quick(sky.tracking, SALTED, "train.seed=41", *overrides))
    project.environment["PIPELINE_COMPUTE"] = "preprocess=local,evaluate=local"
    project.dvc("repro")
    project.commit("With the torch of the image")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    version = project.lineage["model"]["version"]
    proof = lineage.verify(project, f"models:/traceable-digits/{version}")
    assert (proof.status, proof.not_passed) == (0, {})
    assert "the image's, not the lock's: torch 2.0.0" in proof.link("environment")["text"]
    (tags,) = [run.data.tags for run in store_runs(sky, "train") if "environment_kept" in run.data.tags]  # type: ignore[attr-defined]
    assert tags["environment_kept"] == "torch 2.0.0"


def test_packages_that_cannot_be_installed(sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    lock = project.root / "requirements.lock"
    lock.write_text(lock.read_text() + "no-such-package-anywhere==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    project.compose(*quick(sky.tracking, "compute.sagemaker.install=lock", "callbacks=none"))
    output = run_stage(project, "train", code=255)
    assert "requirements.lock cannot be installed" in output
    assert "no-such-package-anywhere" in output


def wait_for_job(sky: Cloud, known: int) -> dict[str, str]:
    """The description of a job that has begun to work after the first `known` ones."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        names = sky.job_names()
        if len(names) > known:
            job = sky.job(names[-1])
            if "TrainingStartTime" in job and "training" in sky.logs(names[-1]):
                return job
        time.sleep(0.3)  # between two looks at the condition
    pytest.fail("no job began")


def ended(sky: Cloud, name: str) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = sky.client("sagemaker").describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
        if status in ("Completed", "Failed", "Stopped"):
            return str(status)
        time.sleep(0.2)  # between two looks at the condition
    pytest.fail(f"{name} did not end")


@pytest.mark.parametrize("way", ["stopped at AWS", "Ctrl-C", "kill"])
def test_a_job_that_does_not_come_to_its_end(way: str, sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.compose(*quick(sky.tracking, "train.epochs=500"))
    known = len(sky.job_names())
    # a shell in the background lets its children ignore what Ctrl-C sends
    command = ("env", "--default-signal=INT", "dvc", "repro", "--single-item", "train")
    process = project.start(*command, start_new_session=True)
    name = wait_for_job(sky, known)["TrainingJobName"]
    if way == "stopped at AWS":
        sky.client("sagemaker").stop_training_job(TrainingJobName=name)
        output = process.communicate(timeout=300)[0]
        assert "it was stopped" in output
    elif way == "Ctrl-C":
        for member in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            member.send_signal(signal.SIGINT)  # as a terminal does: to the whole group
        output = process.communicate(timeout=300)[0]
        assert f"job {name} is asked to stop" in output
        project.mend_dvc()
    else:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            member.kill()
        process.communicate(timeout=300)
        project.mend_dvc()
        project.compose(*quick(sky.tracking, "train.seed=31"))
        output = project.dvc("repro", "--single-item", "train")
        assert f"job {name} of an earlier train, which nobody waits for, is asked to stop" in output
        assert (project.root / WEIGHTS).exists()
    assert process.returncode != 0
    assert ended(sky, name) == "Stopped"
    assert list(project.root.rglob("*.partial*")) == []


def test_a_temporary_experiment_and_two_at_once(sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.environment["PIPELINE_COMPUTE"] = "preprocess=local,evaluate=local"
    known = len(sky.job_names())
    overrides = [item for setting in quick(sky.tracking, "train.seed=choice(21,22)") for item in ("-S", setting)]
    project.dvc("exp", "run", "--queue", *overrides)
    with project.queue_workers(2):
        wait_for_queue(sky, project, known)
    jobs = [job for job in sky.jobs(known) if "TrainingJobName" in job]
    assert [job["TrainingJobStatus"] for job in jobs] == ["Completed", "Completed"]
    first, second = jobs
    assert first["TrainingStartTime"] < second["TrainingEndTime"]
    assert second["TrainingStartTime"] < first["TrainingEndTime"]
    assert len(sky.project.store(sky.tracking).versions()) >= 3


def wait_for_queue(sky: Cloud, project: Project, known: int) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        ended = [job.get("TrainingEndTime") for job in sky.jobs(known)]
        # to ask dvc takes more of the processor than to ask for jobs, and before these are over it has nothing to say
        status = project.dvc("queue", "status") if len(list(filter(None, ended))) == 2 else "Running"
        if "Queued" not in status and "Running" not in status:
            assert status.count("Success") == 2, status
            return
        time.sleep(1)  # between two looks at the condition
    pytest.fail(f"the queue did not end: {project.dvc('queue', 'status')}")


PREFLIGHT = [
    (["compute.sagemaker.role=null"], "compute.sagemaker.role must be set"),
    (["compute.sagemaker.bucket=null"], "compute.sagemaker.bucket must be set"),
    (["compute.sagemaker.bucket=nobodys-bucket"], "could not use the bucket nobodys-bucket"),
    (["tracking.uri=sqlite:///mlflow.db"], "which a job cannot reach"),
    (["tracking.uri=http://127.0.0.1:9"], "http://127.0.0.1:9 does not answer"),
]


@pytest.mark.parametrize(("overrides", "said"), PREFLIGHT, ids=[said for _, said in PREFLIGHT])
def test_what_would_fail_later_is_found_before(overrides: list[str], said: str, sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    project.compose(*quick(sky.tracking, *overrides))
    known = len(sky.job_names()), len(store_runs(sky, "evaluate"))
    output = run_stage(project, "evaluate", code=255)
    assert said in output
    assert "Traceback" not in output
    assert (len(sky.job_names()), len(store_runs(sky, "evaluate"))) == known


def test_a_local_remote_is_refused(sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = /somewhere\n")
    output = run_stage(project, "evaluate", code=255)
    assert "the DVC remote storage is /somewhere, which a job cannot reach" in output


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_SECRET_ACCESS_KEY"])
def test_no_region_and_no_credentials(variable: str, sky: Cloud, tmp_path: Path) -> None:
    project = sky.copy(tmp_path)
    for name in {
        variable,
        variable.replace("AWS_REGION", "AWS_DEFAULT_REGION"),
        variable.replace("SECRET_ACCESS_KEY", "ACCESS_KEY_ID"),
    }:
        project.environment.pop(name, None)
    project.environment |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    output = run_stage(project, "evaluate", code=255)
    assert {"AWS_REGION": "no AWS region is set", "AWS_SECRET_ACCESS_KEY": "no AWS credentials"}[variable] in output


def test_nothing_of_aws_is_imported_unless_a_stage_is_sent_there(baseline: Project) -> None:
    script = (
        "import sys; from lineage.pipeline import runner; from traceable_digits.stages import train; "
        "print([name for name in sys.modules if name.split('.')[0] in ('boto3', 'botocore', 'sagemaker')])"
    )
    assert baseline.run("python", "-c", script).strip() == "[]"


def test_a_job_that_clones_a_pushed_commit(untracked: Cloud, tmp_path: Path) -> None:
    sky, project = untracked, untracked.copy(tmp_path)
    origin = tmp_path / "host" / "digits.git"
    project.git("init", "--quiet", "--bare", str(origin))
    project.git("remote", "add", "origin", str(origin))
    secret = {"username": "x-token-auth", "password": TOKEN}
    sky.client("secretsmanager").create_secret(Name="git", SecretString=json.dumps(secret))
    with git_server(origin.parent, *secret.values()) as address:
        git = {"source": "git", "git.url": f"{address}/digits.git", "git.secret": "git"}
        overrides = [f"compute.sagemaker.{key}={value}" for key, value in git.items()]
        overrides += ["train.seed=9", "callbacks=none"]
        project.compose(*quick(sky.tracking, SALTED, *overrides))
        assert "train.seed in params.yaml is not that of" in run_stage(project, "evaluate", code=255)
        commit = project.commit("By Git")
        assert "`git push`, then run this again" in run_stage(project, "evaluate", code=255)
        project.git("push", "--quiet", "origin", "main")
        run_stage(project, "evaluate")
        assert project.git("status", "--porcelain") == ""
        code = project.root / "traceable_digits" / "evaluation.py"
        code.write_text(code.read_text() + "# edited\n")
        assert "evaluation.py differs from the commit" in run_stage(project, "evaluate", code=255)
        project.commit("Not pushed")
        project.compose(*quick(sky.tracking, SALTED, *overrides, f"compute.sagemaker.git.revision={commit}"))
        assert f"evaluation.py is not as {commit[:12]} holds it" in run_stage(project, "evaluate", code=255)
        project.git("reset", "--quiet", "--hard", commit)
        sky.client("secretsmanager").put_secret_value(SecretId="git", SecretString='{"username": "x", "password": "y"}')
        assert "cannot be cloned" in run_stage(project, "evaluate", code=255)
    assert TOKEN not in sky.logs()


def test_tracking_by_the_arns_of_sagemaker(sky: Cloud, tmp_path: Path) -> None:
    """The plugin for ARNs is told to ask a server here; jobs learn of it by the secret that they are given."""
    project = sky.copy(tmp_path)
    with mlflow_server(project, tmp_path / "mlflow.db", "s3://the-artifacts/arn", "--no-serve-artifacts") as uri:
        variables = {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": uri}
        sky.client("secretsmanager").create_secret(Name="mlflow", SecretString=json.dumps(variables))
        project.environment |= variables
        arn = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-tracking-server/ours"
        project.compose(*quick(arn, SALTED, "train.seed=4", "compute.sagemaker.secret=mlflow"))
        project.environment["PIPELINE_COMPUTE"] = "preprocess=local,evaluate=local"
        project.dvc("repro")
        project.commit("By ARN")
        project.dvc("push", "--quiet")
        project.run("lineage", "link")
        output = project.run("lineage", "verify", "models:/traceable-digits/1")
        assert "1 of 1 models proved" in output
        assert arn in output
        app = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-ABCDEFGHIJKL"
        project.compose(*quick(app, SALTED, "train.seed=4", "compute.sagemaker.secret=mlflow"))
        del project.environment["PIPELINE_COMPUTE"]
        run_stage(project, "evaluate")
        assert len(project.store(uri).runs("evaluate")) == 2
