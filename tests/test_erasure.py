"""Erasure: every copy is found and deleted, what is left can still be proved, and a kill loses nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from aws_standin.container import can_run
from baked import Project
from cloud import REGION
from command import Lineage
from consent import FIRST, OUT, SECOND, STAYS, Cycle, finish, run_cycle, without, write_registry
from servers import aws_standin

YES = ("--execute", "--yes", "--reason", "request 17")


@pytest.fixture(scope="module")
def cycle(shared: Path, installed: Project, lineage: Lineage) -> Cycle:
    return run_cycle(shared, installed, lineage)


@pytest.fixture
def project(cycle: Cycle, tmp_path: Path) -> Project:
    """A copy of the project after the opt-out, to erase from."""
    return cycle.project.copy(tmp_path)


def plan(lineage: Lineage, project: Project, *ids: str) -> dict[str, Any]:
    return dict(json.loads(lineage(project, "erase", *ids, "--plan", "--json")))


def files_with(subject_id: str, *folders: Path) -> set[str]:
    """The files below the folders that hold the id, less those that keep the subject out and MLflow's database."""
    found = set()
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and ".venv" not in path.parts:
                data = path.read_bytes()
                if subject_id.encode() in data and b'"consent_status"' not in data and b"consent_status," not in data:
                    found.add(path.relative_to(folder).as_posix())
    return found


def tombstone(project: Project) -> dict[str, Any]:
    (path,) = (project.root / "erasures").glob("*/tombstone.json")
    return dict(json.loads(path.read_text()))


def test_the_plan_names_what_holds_them_and_changes_nothing(cycle: Cycle, lineage: Lineage) -> None:
    project = cycle.project
    before = project.git("status", "--porcelain")
    planned = plan(lineage, project, OUT)
    paths = [holder["path"] for holder in planned["holders"]]
    assert sorted(path.partition("/shards/")[0] for path in paths) == [
        "data/processed",
        "data/processed/manifest.parquet",
        "data/raw/records.parquet",
        "data/raw/subjects.csv",
    ]
    places = [copy["place"] for copy in planned["copies"]]
    for holder in planned["holders"]:
        assert str(project.cached(holder["md5"])) in places
        assert str(project.object(holder["md5"])) in places
    assert sum(copy["kind"] == "artifact" for copy in planned["copies"]) == 3  # of train, evaluate and register
    assert planned["models"] == [FIRST]
    assert len(planned["not_restorable"]) == 2
    assert planned["unknown"] == planned["blocked"] == []
    assert project.git("status", "--porcelain") == before
    assert not (project.root / "erasures").exists()


def test_nothing_is_left_and_the_rest_is_proved(cycle: Cycle, project: Project, lineage: Lineage) -> None:
    everywhere = (project.root, project.remote)
    assert len(files_with(OUT, *everywhere)) > 8
    output = lineage(project, "erase", OUT, *YES)
    assert "tombstone: erasures/" in output
    assert files_with(OUT, *everywhere) == set()
    assert project.git("status", "--porcelain") == ""
    assert OUT not in project.git("grep", "--", "", "HEAD", "--", "erasures")
    assert tombstone(project)["reason"] == "request 17"

    for version in (FIRST, SECOND):  # the second rests on the same raw data
        proof = lineage.verify(project, version)
        assert (proof.status, proof.state) == (3, "ERASED")
        assert {link["name"] for link in proof.links if link["state"] != "PASS"} <= {"DVC remote", "dataset"}
        assert "request 17" in proof.link("DVC remote")["text"]
    _, output = lineage.ask(project, "audit", "subject", OUT)
    assert FIRST in output
    assert SECOND not in output
    asked = ("audit", "excluded", OUT, "--since", cycle.moment)
    lineage(project, *asked, "--certificate", "c")
    assert "HOLDS: PASSED" in project.run("python", "scripts/check_certificate.py", "c.json")
    assert "holds" in lineage(project, "audit", "check", "c.json")
    since_ever = ("audit", "excluded", OUT, "--since", "2024-01-01", "--certificate", "d")
    assert f"{OUT} is in {FIRST}" in lineage(project, *since_ever, code=1)
    assert "HOLDS: FAILED" in project.run("python", "scripts/check_certificate.py", "d.json")
    assert f"{STAYS} is in {FIRST}" in lineage(project, "audit", "excluded", STAYS, "--since", "2024-01-01", code=1)
    assert "0 objects, 0 copies" in lineage(project, "erase", OUT, "--plan")
    assert "nothing holds" in lineage(project, "erase", OUT, *YES)


def test_a_tombstone_does_not_excuse_what_it_does_not_name(project: Project, lineage: Lineage) -> None:
    lineage(project, "erase", OUT, *YES)
    erased = {item["md5"] for item in tombstone(project)["objects"]}
    listing = project.listing(project.out("preprocess", "data/processed"))
    other = next(entry["md5"] for entry in listing if entry["md5"] not in erased)
    project.object(other).unlink()
    assert lineage.verify(project, SECOND).state == "FAIL"


def test_a_redacted_manifest_that_was_changed_is_found(cycle: Cycle, project: Project, lineage: Lineage) -> None:
    lineage(project, "erase", OUT, *YES)
    for dataset in tombstone(project)["datasets"]:
        for copy in (project.cached(dataset["redacted"]), project.object(dataset["redacted"])):
            copy.chmod(0o644)
            copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    assert lineage.verify(project, FIRST).state == "FAIL"
    assert lineage.ask(project, "audit", "excluded", OUT, "--since", "2024-01-01")[0] == 2


def test_killed_while_deleting_and_brought_to_its_end(project: Project, lineage: Lineage) -> None:
    process = project.start("lineage", "erase", OUT, *YES)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("deleting"):
        assert process.poll() is None
    psutil.Process(process.pid).kill()
    process.communicate()
    assert tombstone(project)["id"] in project.git("log", "--format=%s", "--max-count=1")
    assert lineage.verify(project, FIRST).state == "ERASED"
    output = lineage(project, "erase", "--execute", "--yes")
    assert "left:" not in output
    assert files_with(OUT, project.root, project.remote) == set()
    assert lineage.ask(project, "erase", "--execute", "--yes")[0] == 2  # nothing is unfinished any more


def test_who_is_in_the_present_dataset_is_not_erased(project: Project, lineage: Lineage) -> None:
    before = files_with(STAYS, project.root, project.remote)
    status, output = lineage.ask(project, "erase", STAYS, *YES)
    assert status == 1
    assert "Revoke their consent in the registry" in output
    assert "Traceback" not in output
    assert files_with(STAYS, project.root, project.remote) == before
    assert not (project.root / "erasures").exists()


def test_two_erasures_from_one_dataset(project: Project, lineage: Lineage) -> None:
    lineage(project, "erase", OUT, *YES)
    write_registry(project, without(OUT, STAYS))
    project.dvc("repro", "--quiet")
    finish(project, "Two are out", lineage)
    lineage(project, "erase", STAYS, *YES)
    assert files_with(STAYS, project.root, project.remote) == set()
    assert lineage.verify(project, FIRST).state == "ERASED"
    output = lineage(project, "audit", "excluded", OUT, STAYS, "--since", "2024-01-01", code=1)
    assert f"{OUT} is in {FIRST}" in output
    assert f"{STAYS} is in {FIRST}" in output


@pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, which the stand-in for AWS needs")
def test_versions_and_locks_of_a_bucket(cycle: Cycle, lineage: Lineage, tmp_path: Path) -> None:
    """Every version of an object goes; one that S3 locks stays, is named with its date, and is tried again."""
    state = tmp_path / "aws"
    state.mkdir()
    with aws_standin(state, {}) as endpoint:
        project = cycle.project.copy(tmp_path)
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": REGION}
        project.environment |= {**keys, "AWS_ENDPOINT_URL": endpoint}
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y"
        )
        place = {"LocationConstraint": REGION}
        client.create_bucket(Bucket="kept", CreateBucketConfiguration=place, ObjectLockEnabledForBucket=True)
        (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = s3://kept/dvc\n")
        project.dvc("push", "--quiet", "--all-commits")
        planned = plan(lineage, project, OUT)
        shard = next(holder["md5"] for holder in planned["holders"] if "/shards/" in holder["path"])
        key = f"dvc/files/md5/{shard[:2]}/{shard[2:]}"
        client.put_object(Bucket="kept", Key=key, Body=project.cached(shard).read_bytes())  # a second version
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        newest = client.list_object_versions(Bucket="kept", Prefix=key)["Versions"][0]["VersionId"]
        lock = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
        client.put_object_retention(Bucket="kept", Key=key, VersionId=newest, Retention=lock)

        locked = [copy for copy in plan(lineage, project, OUT)["copies"] if copy["locked_until"]]
        assert [(copy["version"], copy["locked_until"]) for copy in locked] == [(newest, until.isoformat())]
        status, output = lineage.ask(project, "erase", OUT, *YES)
        assert status == 2
        assert f"left: kept/{key}, version {newest}, locked until {until.isoformat()}" in output
        left = client.list_object_versions(Bucket="kept", Prefix=key)
        assert [version["VersionId"] for version in left["Versions"]] == [newest]
        assert "are still there" in lineage.verify(project, FIRST).link("DVC remote")["text"]
        assert (project.root / ".dvc" / "tmp" / "erasures").exists()  # the notes, from which it goes on
