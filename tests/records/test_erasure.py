"""Erasure: every copy is found and deleted, what is left can still be proved, and a kill loses nothing."""

from __future__ import annotations

import gzip
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aws_standin.container import can_run
from baked import Project
from cloud import REGION
from command import Lineage
from consent import FIRST, IN_TEST, MODEL, OUT, SECOND, STAYS, Cycle, everybody, finish, without, write_registry
from damage import edit, put
from servers import aws_standin

PREDICTIONS, THIRD = "data/predictions.parquet", f"{MODEL}/3"
YES = ("--execute", "--yes", "--reason", "request 17")


def plan(lineage: Lineage, project: Project, *ids: str) -> dict[str, Any]:
    return dict(json.loads(lineage(project, "erase", *ids, "--plan", "--json")))


def files_with(subject_id: str, project: Project) -> set[str]:
    """The files of project and remote that hold the id, less the snapshots of the registry, which keep it out."""
    folders = [project.root / name for name in (".dvc", "data", "erasures", "mlartifacts", "models", ".git")]
    files = [path for folder in (*folders, project.remote) for path in folder.rglob("*") if path.is_file()]
    data = {str(path): path.read_bytes() for path in files}
    return {name for name, text in data.items() if subject_id.encode() in text and b'"consent_status"' not in text}


def as_parquet(**columns: list[str]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue().to_pybytes())


def affected(lineage: Lineage, project: Project) -> dict[str, int]:
    """How many subjects that may not be used each affected version rests on."""
    document = json.loads(lineage.run(project, "audit", "affected", "--json")[1])
    return {use["use"]["name"]: len(use["subjects"]) for use in document["affected"] if use["use"]["kind"] == "version"}


def objects_finding(lineage: Lineage, project: Project) -> dict[str, str]:
    """What `lineage doctor` says of the objects in the remote."""
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    return next(item for item in found if item["check"] == "objects")


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
    assert len(files_with(OUT, project)) > 8
    output = lineage(project, "erase", OUT, *YES)
    assert "tombstone: erasures/" in output
    assert files_with(OUT, project) == set()
    assert project.git("status", "--porcelain") == ""
    assert OUT not in project.git("grep", "--", "", "HEAD", "--", "erasures")
    assert tombstone(project)["reason"] == "request 17"

    proof = lineage.verify(project, FIRST)
    assert (proof.status, proof.state) == (3, "ERASED")
    assert {link["name"] for link in proof.links if link["state"] != "PASS"} <= {"DVC remote", "dataset"}
    assert "request 17" in proof.link("DVC remote")["text"]
    assert "all objects but " in proof.link("DVC remote")["text"]
    assert "that data/raw/subjects.csv held who was erased, only the tombstone says" in proof.link("DVC remote")["text"]
    assert "rows and images were not compared" in proof.link("dataset")["text"]
    assert "each image has its SHA-256" not in proof.output
    proof = lineage.verify(project, SECOND)  # never held them; it was made from the same raw data
    assert (proof.status, proof.state) == (0, "PASS")
    assert "request 17" in proof.link("DVC remote")["text"]
    _, output = lineage.ask(project, "audit", "subject", OUT)
    assert FIRST in output
    assert SECOND not in output
    assert "records that were erased; how many is not known any more" in output
    asked = ("audit", "excluded", OUT, "--since", cycle.moment)
    lineage(project, *asked, "--certificate", "c")
    assert "HOLDS: PASSED" in project.run("python", "scripts/check_certificate.py", "c.json")
    assert "holds" in lineage(project, "audit", "check", "c.json")
    since_ever = ("audit", "excluded", OUT, "--since", "2024-01-01", "--certificate", "d")
    assert f"{OUT} is in {FIRST}" in lineage(project, *since_ever, code=1)
    assert "HOLDS: FAILED" in project.run("python", "scripts/check_certificate.py", "d.json")
    assert f"{STAYS} is in {FIRST}" in lineage(project, "audit", "excluded", STAYS, "--since", "2024-01-01", code=1)
    assert "left: c.json, a file of yours" in lineage(project, "erase", OUT, *YES, code=2)
    for certificate in project.root.glob("[cd].*"):
        certificate.unlink()
    assert "0 objects, 0 copies" in lineage(project, "erase", OUT, "--plan")
    assert "nothing holds" in lineage(project, "erase", OUT, *YES)


def test_what_models_said_of_them_goes_as_well(project: Project, lineage: Lineage) -> None:
    """Predictions are about the test split: of somebody in it, both versions have some."""
    lineage(project, "promote", SECOND, "--to", "champion")
    write_registry(project, without(OUT, IN_TEST))
    project.dvc("repro", "--quiet")
    finish(project, "Opt-out of somebody in test", lineage)
    held = [holder for holder in plan(lineage, project, IN_TEST)["holders"] if holder["path"] == PREDICTIONS]
    assert len(held) == 2
    output = lineage(project, "erase", IN_TEST, *YES)
    assert "left:" not in output
    assert files_with(IN_TEST, project) == set()
    for version in (FIRST, SECOND):
        proof = lineage.verify(project, version)
        assert (proof.status, proof.state) == (3, "ERASED")
        assert PREDICTIONS in proof.link("DVC remote")["text"]
    assert lineage.verify(project, THIRD).state == "PASS"
    status, said = lineage.ask(project, "promote", THIRD, "--to", "champion")  # nobody can compare with an erased one
    assert (status, "of the champion, version 2: its predictions were erased at" in said) == (2, True)
    assert "has the alias champion already" not in said
    lineage(project, "promote", THIRD, "--to", "champion", "--accept", "all: the one before was erased")
    assert "FAIL" in lineage(project, "demote", "champion", "--reason", "x", code=1)  # it has learnt from the erased
    path = project.object(project.out("evaluate", PREDICTIONS))
    path.unlink()  # of the third version: no tombstone names them
    assert lineage.verify(project, THIRD).state == "FAIL"


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
    index = project.root / ".dvc" / "tmp" / "kept" / "audit" / "index"
    index.mkdir(parents=True, exist_ok=True)
    (index / "rows-0").write_bytes(b"compressed, of an audit that was killed")
    hook = project.root / ".git" / "hooks" / "post-commit"
    hook.write_text("#!/bin/sh\nkill -9 $(ps -o ppid= -p $PPID)\n")  # whoever called Git
    hook.chmod(0o755)
    project.run("lineage", "erase", OUT, *YES, code=-signal.SIGKILL)
    hook.unlink()
    assert tombstone(project)["id"] in project.git("log", "--format=%s", "--max-count=1")
    proof = lineage.verify(project, FIRST)
    assert proof.link("DVC remote")["state"] == "PASS"
    assert "4 objects that were to be erased are still there" in proof.link("DVC remote")["text"]
    output = lineage(project, "erase", "--execute", "--yes")
    assert "left:" not in output
    assert files_with(OUT, project) == set()
    assert [path.name for path in index.iterdir() if path.name != "lock"] == []
    assert lineage.ask(project, "erase", "--execute", "--yes")[0] == 2  # nothing is unfinished any more


def test_who_is_in_the_present_dataset_is_not_erased(project: Project, lineage: Lineage) -> None:
    before = files_with(STAYS, project)
    status, output = lineage.ask(project, "erase", STAYS, *YES)
    assert status == 1
    assert "Revoke their consent in the registry" in output
    assert "Traceback" not in output
    assert files_with(STAYS, project) == before
    assert not (project.root / "erasures").exists()


def test_two_erasures_from_one_dataset(project: Project, lineage: Lineage) -> None:
    lineage(project, "erase", OUT, *YES)
    write_registry(project, without(OUT, STAYS))
    project.dvc("repro", "--quiet")
    finish(project, "Two are out", lineage)
    lineage(project, "erase", STAYS, *YES)
    assert files_with(STAYS, project) == set()
    assert lineage.verify(project, FIRST).state == "ERASED"
    output = lineage(project, "audit", "excluded", OUT, STAYS, "--since", "2024-01-01", code=1)
    assert f"{OUT} is in {FIRST}" in output
    assert f"{STAYS} is in {FIRST}" in output


def test_who_comes_back_is_there_for_every_answer(cycle: Cycle, project: Project, lineage: Lineage) -> None:
    """The pipeline makes the erased bytes again, under names that tombstones, and DVC's own notes, know."""
    lineage(project, "erase", OUT, *YES)
    erased = {item["md5"] for item in tombstone(project)["objects"]}
    assert affected(lineage, project)[FIRST] == 1  # its data are gone, the model is not
    assert "0, and those of 1 erased" in lineage(project, "audit", "affected", code=1)
    assert objects_finding(lineage, project)["state"] == "right"

    assert "1 subjects of it were erased" in lineage.run(project, "audit", "records", FIRST)[2]

    write_registry(project, everybody())
    project.dvc("repro", "--quiet")
    finish(project, "Back", lineage)
    assert {md5 for md5 in erased if project.object(md5).exists()} == set()  # to `dvc push`, a listing is its files
    proof = lineage.verify(project, FIRST)
    assert proof.state == "FAIL"
    assert set(proof.not_passed) == {"DVC remote"}
    assert "it was erased, and dvc.lock of" in proof.not_passed["DVC remote"]
    assert objects_finding(lineage, project)["fix"] == "lineage data push"
    assert "4 of them sent now" in lineage(project, "data", "push")
    assert {md5 for md5 in erased if project.object(md5).exists()} == erased
    proof = lineage.verify(project, FIRST)
    assert (proof.status, proof.state) == (0, "PASS")
    assert "request 17" in proof.link("dataset")["text"]  # the manifest that the first training had logged
    assert "4 objects that were erased before are there" in proof.link("DVC remote")["text"]
    assert affected(lineage, project) == {}
    _, records, errors = lineage.run(project, "audit", "records", FIRST, "--csv")
    assert OUT in records
    assert errors == ""
    assert "data/v1 is now on" in lineage(project, "data", "tag", "v1")

    write_registry(project, without(OUT))
    assert affected(lineage, project)[FIRST] == 1
    project.dvc("repro", "--quiet", "preprocess")
    project.commit("Out again")
    lineage(project, "erase", OUT, *YES)
    assert files_with(OUT, project) == set()
    assert lineage.verify(project, FIRST).state == "ERASED"


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
        assert "but for 2 that were erased on purpose" in objects_finding(lineage, project)["text"]


def test_raw_data_that_no_commit_names(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    """Of a fetch after which something else was fetched, and nothing committed."""
    pq.write_table(
        pq.read_table(project.root / "data" / "raw" / "records.parquet"), tmp_path / "other", compression="zstd"
    )
    records = put(project, (tmp_path / "other").read_bytes())
    put(project, json.dumps([{"md5": records, "relpath": "records.parquet"}]).encode(), ".dir")
    assert records in [holder["md5"] for holder in plan(lineage, project, OUT)["holders"]]
    lineage(project, "erase", OUT, *YES)
    assert files_with(OUT, project) == set()


def test_a_copy_that_is_out_of_reach(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    """Its bytes are somewhere, so that nothing is said to be gone, until they are back and are deleted."""
    shard = next(holder["md5"] for holder in plan(lineage, project, OUT)["holders"] if "/shards/" in holder["path"])
    project.object(shard).rename(tmp_path / "away")
    status, output = lineage.ask(project, "erase", OUT, *YES)
    assert status == 2
    assert f"({shard}) was pushed and is not in the remote" in output
    document = tombstone(project)
    assert [item["md5"] for item in document["not_found"]] == [shard]
    assert shard not in [item["md5"] for item in document["objects"]]
    proof = lineage.verify(project, FIRST)
    assert proof.state == "FAIL"
    assert shard in proof.not_passed["DVC remote"].replace("/", "")
    status, output = lineage.ask(project, "erase", "--execute", "--yes")
    assert status == 2
    assert f"({shard}) is still not to be found, and held them" in output

    lost = project.copy(tmp_path / "lost")
    (tmp_path / "away").rename(project.object(shard))
    assert "left:" not in lineage(project, "erase", "--execute", "--yes")
    assert files_with(OUT, project) == set()
    assert lineage.verify(project, FIRST).state == "ERASED"
    assert lineage.ask(project, "erase", "--execute", "--yes")[0] == 2  # nothing is unfinished any more

    assert "left:" not in lineage(lost, "erase", "--execute", "--accept-lost", "--yes")
    assert lineage.verify(lost, FIRST).state == "ERASED"
    assert not list((lost.root / ".dvc" / "tmp" / "erasures").iterdir())


def test_what_nobody_can_look_into(project: Project, lineage: Lineage) -> None:
    """An object of which there is no copy may hold them: nothing is over until somebody says that it is lost."""
    shard = next(holder["md5"] for holder in plan(lineage, project, OUT)["holders"] if "/shards/" in holder["path"])
    for path in (project.object(shard), project.cached(shard)):
        path.unlink()
    status, output = lineage.ask(project, "erase", OUT, *YES)
    assert status == 2
    assert f"({shard}) is neither in the cache nor in the remote" in output
    assert shard in [item["md5"] for item in tombstone(project)["not_found"]]
    assert lineage.ask(project, "erase", "--execute", "--yes")[0] == 2
    lineage(project, "erase", "--execute", "--accept-lost", "--yes")
    assert lineage.verify(project, FIRST).state == "FAIL"  # whoever lost it, it was not the erasure


def test_whoever_came_back_is_not_deleted_by_what_was_begun(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    shard = next(holder["md5"] for holder in plan(lineage, project, OUT)["holders"] if "/shards/" in holder["path"])
    project.object(shard).rename(tmp_path / "away")
    assert lineage.ask(project, "erase", OUT, *YES)[0] == 2
    (tmp_path / "away").rename(project.object(shard))
    project.git("checkout", "--quiet", project.commit_of("Everybody"), "--", "dvc.lock")  # as after `dvc repro`
    status, output = lineage.ask(project, "erase", "--execute", "--yes")
    assert status == 1
    assert "Revoke their consent" in output
    assert project.object(shard).exists()


def test_where_else_they_are_named(project: Project, lineage: Lineage) -> None:
    """What the project has written itself is deleted. What is Git's or a person's is listed, and not all is gone."""
    text, client = f"'cat/{OUT}_cat.png' cannot be read", project.store().client
    own, failed = project.root / ".dvc" / "tmp", project.store().runs("train")[0].info.run_id
    gone = {
        own / "exps" / "run" / "abc" / "abc.out": text.encode(),
        own / "exps" / "run" / "abc" / "abc.json": json.dumps({"said": f"first\n{OUT}"}).encode(),
        own / "kept" / "table.csv": f'a,"see {OUT}, twice"\n'.encode("utf-16"),
        own / "kept" / "notes.gz": gzip.compress(text.encode()),
        own / "kept" / "preprocess" / "a-b.parquet": as_parquet(subject_id=[OUT]),
        own / "kept" / "preprocess" / "a-b.json": b'{"train": {"grey": [1]}}',  # what was measured of its images
        project.root / ".dvc" / "cache" / "runs" / "ab" / "abcd": f"params: {OUT}".encode(),
        project.root / "mlartifacts" / failed / "artifacts" / "plots" / "worst.csv": f"{OUT},0.1\n".encode(),
    }
    stays = {own / "kept" / "preprocess" / "c-d.json": b'{"train": {"grey": [2]}}'}
    stays |= {own / "kept" / "other.csv": f"{OUT}4\n".encode(), own / "kept" / "joined": f"{OUT}-B".encode()}
    mine = {project.root / "mine.txt": text.encode(), project.root / f"{OUT}.txt": b""}
    for path, data in (gone | stays | mine).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    client.set_tag(failed, "error", f"UnreadableImagesError: {text}")
    (project.root / "stashed.csv").write_text(f"{OUT}\n")
    project.git("add", "stashed.csv")
    project.git("stash", "--quiet")
    (project.root / "list.csv").write_text(f"subject;note\n{OUT};x\n")
    project.git("add", "list.csv")
    project.git("commit", "--quiet", "--no-verify", "--message", "A list")
    project.git("rm", "--quiet", "list.csv")
    project.git("commit", "--quiet", "--no-verify", "--message", f"Without {OUT}")
    project.dvc("remote", "add", "--quiet", "--local", "backup", str(project.root.parent / "backup"))

    project.git("tag", f"about-{OUT}")
    named = project.git("rev-parse", "--short", "HEAD")

    status, output = lineage.ask(project, "erase", OUT, *YES)
    assert status == 2
    for what in (
        f"the Git ref refs/tags/about-{OUT}",
        "list.csv",
        "stashed.csv",
        f"the message of commit {named}, in Git's history",
        "mine.txt",
        f"{OUT}.txt",
        "joined",
        "remote backup",
    ):
        assert [line for line in output.splitlines() if line.startswith("  left: ") and what in line], what
    assert not [path for path in gone if path.exists()]
    assert all(path.exists() for path in stays | mine)
    assert OUT not in client.get_run(failed).data.tags["error"]
    assert OUT.encode() not in (project.root / "mlflow.db").read_bytes()
    assert not list((own / "erasures").iterdir())  # nothing is left that could be gone on with


def test_an_error_names_them_at_the_terminal_and_not_in_mlflow(project: Project) -> None:
    source = next(project.root.glob("*/sources/digits.py"))
    edit(source, "    pq.write_table(pa", '    rows[0]["image"] = b"no image"\n    pq.write_table(pa')()
    assert "1 image cannot be read: 'SCAN-00001'" in project.dvc("repro", "preprocess", code=None)
    run = project.store().runs("preprocess")[-1]
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "UnreadableImagesError: 1 image cannot be read."


def test_an_id_of_nobody(cycle: Cycle, lineage: Lineage) -> None:
    status, output, errors = lineage.run(cycle.project, "erase", "PAT-0023", "--plan")
    assert (status, output) == (1, "")
    assert "no manifest and no consent registry has ever held 'PAT-0023'" in errors
