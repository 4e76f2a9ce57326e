"""data tag: a dataset version by name, here, on the remotes, in MLflow, and in a clone of somebody else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from baked import Project
from command import Lineage

CANDIDATE = "models:/traceable-digits@candidate"
PROCESSED = "data/processed"


def origin(project: Project) -> Path:
    return Path(project.git("remote", "get-url", "origin"))


def tags_on(repository: Path) -> list[str]:
    command = ["git", "-C", str(repository), "tag", "--list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def change_data(project: Project) -> str:
    """Commits another dataset version, without training. Returns its hash."""
    project.compose("data.shards.salt=another", "train=debug", "train.seed=5", "train.weight_decay=1e-5")
    project.dvc("repro", "preprocess")
    project.commit("Other shards")
    return project.out("preprocess", PROCESSED)


def test_a_tag_names_the_data_commit_and_everybody_gets_it(
    project: Project, lineage: Lineage, tmp_path: Path, installed: Project
) -> None:
    dataset = project.out("preprocess", PROCESSED)
    weights = project.out("train", "models/model.safetensors")
    gone = [project.object(md5) for md5 in (dataset, weights)]
    first = project.commit_of("First model")
    recorded = project.git("show", f"{first}:dvc.lock")
    for path in gone:
        path.unlink()
    done = json.loads(lineage(project, "data", "tag", "v1.0", "--message", "What the board has seen", "--json"))
    assert (done["tag"], done["commit"], done["dataset"]) == ("data/v1.0", first, dataset)
    # the dataset's listing; the weights are of the second model, which is not the tagged commit's
    assert weights not in recorded
    assert (done["sent"], done["lacking"]) == (1, [])
    assert gone[0].exists()
    assert project.git("cat-file", "-t", "data/v1.0") == "tag"
    assert project.git("rev-parse", "data/v1.0^{commit}") == first
    assert "What the board has seen" in project.git("tag", "--list", "-n1", "data/v1.0")
    assert tags_on(origin(project)) == ["data/v1.0"]

    assert {project.version_tags(number)["data_version"] for number in "12"} == {"v1.0"}
    for stage in ("preprocess", "train", "evaluate"):
        assert {run.data.tags["data_version"] for run in project.store().runs(stage)} == {"v1.0"}
    gone[1].parent.mkdir(exist_ok=True)
    gone[1].write_bytes(project.cached(weights).read_bytes())
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})

    subprocess.run(["git", "clone", "--quiet", str(origin(project)), str(tmp_path / "other")], check=True)
    other = Project(tmp_path / "other", installed.venv, installed.environment)
    (other.root / ".dvc" / "config.local").write_text((project.root / ".dvc" / "config.local").read_text())
    other.git("checkout", "--quiet", "data/v1.0")
    other.dvc("pull", "--quiet")
    assert other.dvc("status").strip() == "Data and pipelines are up to date."
    assert other.out("preprocess", PROCESSED) == dataset
    assert (other.root / PROCESSED / "manifest.parquet").read_bytes() == (
        project.root / PROCESSED / "manifest.parquet"
    ).read_bytes()


def test_again_it_only_pushes_and_a_second_name_stands_beside_the_first(project: Project, lineage: Lineage) -> None:
    lineage(project, "data", "tag", "v1.0")
    before = project.git("rev-parse", "data/v1.0")
    project.git("push", "--quiet", "origin", "--delete", "data/v1.0")
    assert "was already on" in lineage(project, "data", "tag", "data/v1.0")
    assert project.git("rev-parse", "data/v1.0") == before
    assert tags_on(origin(project)) == ["data/v1.0"]
    lineage(project, "data", "tag", "release-2026")
    assert project.version_tags("2")["data_version"] == "release-2026, v1.0"
    assert "data/release-2026  data/v1.0" in lineage(project, "trace", CANDIDATE)
    assert lineage.verify(project, CANDIDATE).not_passed == {}
    project.git("tag", "--force", "data/v1.0", project.git("rev-list", "--max-parents=0", "HEAD"))
    assert "another one" in lineage.verify(project, CANDIDATE).not_passed["data commit"]


def test_runs_that_follow_know_the_version_from_the_start(project: Project, lineage: Lineage) -> None:
    lineage(project, "data", "tag", "v1.0")
    (project.root / "note.md").write_text("a commit after it\n")
    project.commit("A note")
    project.dvc("repro", "--force", "--single-item", "evaluate")
    run = project.store().runs("evaluate")[-1]
    assert run.data.tags["data_version"] == "v1.0"
    assert run.data.tags["lineage_status"] == "pending"


def test_a_name_that_is_taken_is_refused_here_and_on_the_remote(project: Project, lineage: Lineage) -> None:
    lineage(project, "data", "tag", "v1.0")
    old = project.git("rev-parse", "data/v1.0")
    other = change_data(project)
    said = lineage(project, "data", "tag", "v1.0", code=1)
    assert "data/v1.0 is taken" in said
    assert other in said
    project.git("tag", "--delete", "data/v1.0")
    assert "taken on origin" in lineage(project, "data", "tag", "v1.0", code=1)
    project.git("fetch", "--quiet", "--tags")
    assert project.git("rev-parse", "data/v1.0") == old
    done = json.loads(lineage(project, "data", "tag", "v2.0", "--json"))
    assert (done["dataset"], done["commit"]) == (other, project.commit_of("Other shards"))
    assert project.version_tags("2")["data_version"] == "v1.0"


@pytest.mark.parametrize("name", ["", "a b", "v1..0", "v1.lock", "v1\nv2", "v~1", "/", "v1/"])
def test_what_is_no_name_is_refused(name: str, project: Project, lineage: Lineage) -> None:
    status, output = lineage.ask(project, "data", "tag", "--", name)
    assert status == 1
    assert "is no name for a Git tag" in output
    assert project.git("tag", "--list") == ""


def test_a_dataset_that_no_commit_records_is_not_tagged(project: Project, lineage: Lineage) -> None:
    project.compose("data.shards.salt=another", "train=debug")
    project.dvc("repro", "preprocess")
    said = lineage(project, "data", "tag", "v1.0", code=1)
    assert "is not committed" in said
    assert project.out("preprocess", PROCESSED) in said
    (project.root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    assert "records no dataset version" in lineage(project, "data", "tag", "v1.0", code=1)
    assert project.git("tag", "--list") == ""


def test_a_commit_whose_raw_data_are_of_another_state_is_not_tagged(project: Project, lineage: Lineage) -> None:
    """`dvc add` writes its .dvc file at once, and who commits dvc.lock alone leaves it behind."""
    project.own_raw_data()
    project.compose("data.shards.salt=another", "train=debug")
    project.dvc("repro", "preprocess")
    added = project.root / "data" / "raw.dvc"
    right = added.read_text()
    added.write_text(right.replace(yaml.safe_load(right)["outs"][0]["md5"], "0" * 32 + ".dir"))
    project.commit("With another state of the raw data")
    said = lineage(project, "data", "tag", "v1.0", code=1)
    assert "another state of data/raw than it was made from" in said
    assert project.git("tag", "--list") == ""
    added.write_text(right)
    commit = project.commit("With the right one")
    done = json.loads(lineage(project, "data", "tag", "v1.0", "--json"))
    assert (done["commit"], done["dataset"]) == (commit, project.out("preprocess", PROCESSED))


def test_a_push_that_fails_says_what_is_done_and_going_on_ends_well(project: Project, lineage: Lineage) -> None:
    shard = project.listing(project.out("preprocess", PROCESSED))[-1]["md5"]
    project.object(shard).unlink()
    kept = project.cached(shard).read_bytes()
    project.cached(shard).unlink()
    said = lineage(project, "data", "tag", "v1.0", code=1)  # first the objects: one is nowhere
    assert f"{PROCESSED} is not in the DVC remote" in said
    assert "Nothing was tagged" in said
    assert project.git("tag", "--list") == ""
    project.cached(shard).write_bytes(kept)

    hook = origin(project) / "hooks" / "update"
    hook.write_text("#!/bin/sh\necho tags are closed today >&2\nexit 1\n")
    hook.chmod(0o755)
    said = lineage(project, "data", "tag", "v1.0", code=1)  # then the tag
    assert "tags are closed today" in said
    assert "Run this again" in said
    assert project.object(shard).exists()
    assert project.git("tag", "--list") == "data/v1.0"
    assert tags_on(origin(project)) == []
    hook.unlink()
    lineage(project, "data", "tag", "v1.0")
    assert tags_on(origin(project)) == ["data/v1.0"]


def test_without_remotes_the_tag_is_made_here(project: Project, lineage: Lineage) -> None:
    project.git("remote", "remove", "origin")
    (project.root / ".dvc" / "config.local").unlink()
    project.dvc("remote", "remove", "storage")
    output = lineage(project, "data", "tag", "v1.0")
    assert "There is no DVC remote" in output
    assert "There is no Git remote" in output
    assert project.git("tag", "--list") == "data/v1.0"


def test_a_remote_that_only_the_user_has_configured_gets_the_objects(
    project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    project.environment["DVC_GLOBAL_CONFIG_DIR"] = str(tmp_path / "of the user")
    (project.root / ".dvc" / "config.local").unlink()
    project.dvc("remote", "remove", "storage")
    project.dvc("remote", "add", "--global", "--default", "Team", str(tmp_path / "team"))
    project.commit("The team's remote")
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    states = {item["check"]: item for item in found}
    assert states["DVC remote"]["text"] == str(tmp_path / "team")
    assert states["objects"]["state"] == "wrong"
    done = json.loads(lineage(project, "data", "tag", "v1.0", "--json"))
    assert (done["dvc_remote"], done["lacking"]) == (str(tmp_path / "team"), [])
    md5 = project.out("preprocess", PROCESSED)
    assert (tmp_path / "team" / "files" / "md5" / md5[:2] / md5[2:]).exists()


def test_a_tag_that_was_moved_is_told_alike_by_all_clones(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    lineage(project, "data", "tag", "v1.0")
    change_data(project)
    project.git("push", "--quiet", "origin", "main")
    old = Project(tmp_path / "old", project.venv, project.environment)
    project.run("git", "clone", "--quiet", str(origin(project)), str(old.root))
    (old.root / ".dvc" / "config.local").write_text((project.root / ".dvc" / "config.local").read_text())
    params = old.root / "params.yaml"
    params.write_text(params.read_text().replace("sqlite:///mlflow.db", f"sqlite:///{project.root}/mlflow.db"))
    project.git("tag", "--force", "--annotate", "--message", "moved", "data/v1.0", "HEAD")
    project.git("push", "--quiet", "--force", "origin", "data/v1.0")

    proof = lineage.verify(project, "models:/traceable-digits/2")
    assert proof.link("data commit")["state"] == "FAIL"
    assert "`lineage link` withdraws the name" in proof.not_passed["data commit"]
    proof = lineage.verify(old, "models:/traceable-digits/2")
    assert proof.link("data commit")["state"] == "INCONCLUSIVE"
    assert "git fetch origin --tags --force" in proof.link("data commit")["fix"]
    lineage(project, "link")
    assert "data_version" not in project.version_tags("2")
    lineage(old, "link")  # the old tag of this clone does not bring the name back
    assert "data_version" not in project.version_tags("2")
    for clone in (project, old):
        assert lineage.verify(clone, "models:/traceable-digits/2").link("data commit")["state"] == "PASS"


def test_a_store_that_is_down_takes_nothing_from_the_tag(project: Project, lineage: Lineage) -> None:
    (project.root / "mlflow.db").write_bytes(b"no database")
    output = lineage.ask(project, "data", "tag", "v1.0")[1]
    assert tags_on(origin(project)) == ["data/v1.0"]
    assert "`lineage link` tells it" in output
    assert "Traceback" not in output
