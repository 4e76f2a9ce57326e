"""`lineage gc` in a whole project: versions stay proved, a kill loses nothing, and what `dvc gc` took is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_standin.container import can_run
from aws_standin.place import client_of
from baked import Project
from cloud import IMAGE, REGION, ROLE
from command import Lineage
from damage import SECOND, put
from servers import aws_standin

FIRST = SECOND.replace("/2", "/1")
NOW = ("--older-than", "0", "--cloud", "--alone")


def plan(lineage: Lineage, project: Project, *options: str) -> dict[str, Any]:
    status, output, errors = lineage.run(project, "gc", "--plan", "--json", *(options or NOW))
    assert output, (status, errors)
    return dict(json.loads(output))


def there(project: Project) -> set[Path]:
    folders = (project.remote, project.root / ".dvc" / "cache" / "files")
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def finding(lineage: Lineage, project: Project, check: str) -> dict[str, str]:
    return next(item for item in json.loads(lineage.run(project, "doctor", "--json")[1]) if item["check"] == check)


def test_every_version_that_passed_passes_afterwards(project: Project, lineage: Lineage) -> None:
    before, held = lineage.run(project, "verify", "--all", "--json"), there(project)
    asked = lineage.run(project, "audit", "subject", "SCAN-00001")
    orphan = put(project, b"of a push that broke off")
    planned = plan(lineage, project)
    assert planned["state"] == "PLANNED", planned["unknown"] + planned["lost"]
    assert {(each["md5"], each["place"], each["named"]) for each in planned["going"]} == {
        (orphan, "cache", ""),
        (orphan, "remote", ""),
    }
    assert (planned["past"], planned["would_end"]) == ([], [])
    said = lineage(project, "gc", "--execute", "--yes", "--reason", "ticket 4")
    assert "deleted: 2 objects" in said
    assert there(project) == held
    assert project.git("status", "--porcelain") == ""
    assert project.git("log", "--max-count=1", "--format=%s").startswith("lineage gc ")
    after = lineage.run(project, "verify", "--all", "--json")
    states = [[model["state"] for model in json.loads(each[1])["models"]] for each in (before, after)]
    assert states == [["PASS", "PASS"], ["PASS", "PASS"]]
    assert lineage.run(project, "audit", "subject", "SCAN-00001")[:2] == asked[:2]
    status, _, errors = lineage.run(project, "gc", "--execute", "--yes")
    assert (status, "nothing was planned" in errors) == (2, True)


def test_what_was_never_committed(project: Project, lineage: Lineage) -> None:
    """Its version has no commit, so that nobody knows all that it needs: until somebody says that this is lost."""
    held = there(project)
    project.compose("train=debug", "train.seed=9")
    project.dvc("repro")
    project.git("reset", "--quiet", "--hard")
    project.dvc("checkout", "--quiet", "--force")
    weights = [each.data.tags["dvc_model_md5"] for each in project.store().runs("train")][-1]
    status, output = lineage.ask(project, "gc", "--plan", *NOW)
    assert status == 2
    assert "models:/traceable-digits/3" in output and "no commit here holds it" in output
    accepted = plan(lineage, project, *NOW, "--accept-lost")
    assert accepted["state"] == "PLANNED"
    assert weights not in {each["md5"] for each in (*accepted["going"], *accepted["past"])}  # its version names it
    assert accepted["going"]  # scores and pictures, which nothing names
    lineage(project, "gc", "--execute", "--yes")
    assert held <= there(project)
    proof = lineage.verify(project, SECOND)
    assert (proof.state, lineage.verify(project, FIRST).state) == ("PASS", "PASS")


def test_killed_between_record_and_deleting(project: Project, lineage: Lineage) -> None:
    orphan, held = put(project, b"orphan"), there(project)
    plan(lineage, project)
    hook = project.root / ".git" / "hooks" / "post-commit"
    hook.write_text("#!/bin/sh\nkill -9 $(ps -o ppid= -p $PPID)\n")  # whoever called Git
    hook.chmod(0o755)
    project.run("lineage", "gc", "--execute", "--yes", code=-signal.SIGKILL)
    hook.unlink()
    assert there(project) == held
    assert len(list((project.root / "collected").iterdir())) == 1
    assert "deleted: 2 objects" in lineage(project, "gc", "--execute", "--yes")
    assert not project.cached(orphan).exists() and not project.object(orphan).exists()


def test_dvc_gc_is_warned_about_and_what_it_took_is_named(project: Project, lineage: Lineage) -> None:
    assert finding(lineage, project, "dvc gc")["state"] == "right"
    (project.root / "nightly.sh").write_text("# never dvc gc\ndvc  gc --workspace --cloud --force\n")
    project.commit("Nightly")
    project.git("push", "--quiet", "origin", "main")
    warning = finding(lineage, project, "dvc gc")
    assert warning["state"] == "wrong"
    assert warning["text"].startswith("nightly.sh:2 runs `dvc gc`")
    assert warning["fix"] == "lineage gc --plan"

    project.run("sh", "nightly.sh")
    proof = lineage.verify(project, FIRST)
    assert proof.state == "FAIL"
    said = proof.link("DVC remote")["text"]
    assert "This is what `dvc gc --cloud` leaves: all that this checkout records is there" in said
    assert "models/model.safetensors" in said
    assert lineage.verify(project, SECOND).state == "PASS"
    assert "`dvc gc --cloud` leaves it so" in finding(lineage, project, "objects")["text"]


@pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, which the stand-in for AWS needs")
def test_a_bucket_that_keeps_versions(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    """What goes can be brought back from it; of what others deleted there it says when."""
    state = tmp_path / "aws"
    state.mkdir()
    with aws_standin(state, {}) as endpoint:
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": REGION}
        project.environment |= {**keys, "AWS_ENDPOINT_URL": endpoint}
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y"
        )
        client.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = s3://kept/dvc\n")
        project.dvc("push", "--quiet", "--all-commits")
        orphan = "0123456789abcdef0123456789abcdef"
        key = f"dvc/files/md5/{orphan[:2]}/{orphan[2:]}"
        client.put_object(Bucket="kept", Key=key, Body=b"orphan")
        client.put_object(Bucket="kept", Key="dvc/files/md5/notes.txt", Body=b"mine")
        planned = plan(lineage, project)
        assert [each["md5"] for each in planned["going"]] == [orphan]
        assert planned["stays"]["remote"]["no objects of DVC"] == 1
        assert plan(lineage, project, "--cloud", "--alone")["going"] == []  # it is new
        plan(lineage, project)
        lineage(project, "gc", "--execute", "--yes")
        versions = client.list_object_versions(Bucket="kept", Prefix=key)
        assert [version["IsLatest"] for version in versions["Versions"]] == [False]
        assert len(versions["DeleteMarkers"]) == 1
        assert lineage.verify(project, FIRST).state == "PASS"

        weights = next(out["md5"] for out in _first_lock(project)["train"]["outs"] if "model" in out["path"])
        client.delete_object(Bucket="kept", Key=f"dvc/files/md5/{weights[:2]}/{weights[2:]}")
        said = lineage.verify(project, FIRST).link("DVC remote")["text"]
        assert "The bucket says that 1 were deleted there" in said
        assert "it keeps an older version of 1" in said


@pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
def test_pipelines(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    """What a step has reported stays, collected or not; while an execution goes on, nothing goes."""
    state = tmp_path / "aws"
    state.mkdir()
    reported, orphan = put(project, b"made by a step"), put(project, b"orphan")
    params = project.root / "params.yaml"
    text = params.read_text().replace("    bucket: null", "    bucket: the-jobs", 1)
    params.write_text(
        text.replace("    region: null", f"    region: {REGION}", 1).replace("    role: null", f"    role: {ROLE}", 1)
    )
    nobody = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": REGION}
    nobody |= {"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_CONFIG_FILE": os.devnull}
    project.environment |= nobody
    status, output = lineage.ask(project, "gc", "--plan", *NOW)
    assert (status, "whether a pipeline is going on" in output) == (2, True)
    with aws_standin(state, {IMAGE: Path(sys.executable).parent}) as endpoint:
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_ENDPOINT_URL": endpoint}
        project.environment |= keys
        s3, aws = (client_of(name, endpoint, REGION) for name in ("s3", "sagemaker"))
        s3.create_bucket(Bucket="the-jobs", CreateBucketConfiguration={"LocationConstraint": REGION})
        body = json.dumps({"entry": {"outs": [{"path": "models", "md5": reported}]}}).encode()
        s3.put_object(Bucket="the-jobs", Key="traceable-digits/pipelines/p/abc/reports/train.json", Body=body)
        assert {each["md5"] for each in plan(lineage, project)["going"]} == {orphan}

        cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        arguments = {
            "RoleArn": ROLE,
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["sleep", "600"]},
            "ProcessingResources": {"ClusterConfig": cluster},
        }
        steps = [{"Name": "long", "Type": "Processing", "Arguments": arguments}]
        definition = json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": steps})
        tags = [{"Key": "lineage:project_id", "Value": project.params["project_id"]}]
        aws.create_pipeline(
            PipelineName="p", RoleArn=ROLE, PipelineDefinition=definition, ClientRequestToken="x" * 32, Tags=tags
        )
        arn = aws.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
        held = there(project)
        status, output = lineage.ask(project, "gc", "--execute", "--yes")  # it was planned before
        assert (status, f"the execution {arn} is going on" in output) == (2, True)
        assert there(project) == held


def _first_lock(project: Project) -> dict[str, Any]:
    import yaml

    commit = project.commit_of("First model")
    text = subprocess.run(
        ["git", "show", f"{commit}:dvc.lock"], cwd=project.root, check=True, capture_output=True, text=True
    ).stdout
    return dict(yaml.safe_load(text)["stages"])
