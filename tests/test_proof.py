"""link, trace, verify, restore on a project as its owner has it: everything holds, and from everywhere it is found."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Lineage, Project, bake, mlflow_server

LINKS = [
    "version",
    "training run",
    "parameters in MLflow",
    "result commit",
    "dvc.lock",
    "code",
    "parameters",
    "lineage.json",
    "environment",
    "data commit",
    "metrics",
    "DVC remote",
    "DVC cache",
    "dataset",
    "registered artifact",
]
CANDIDATE = "models:/traceable-digits@candidate"


@pytest.fixture
def project(linked: Project, tmp_path: Path) -> Project:
    """A copy of the linked project, to change at will."""
    return linked.copy(tmp_path)


def commit_of(project: Project, subject: str) -> str:
    return project.git("log", "--all", "--format=%H", f"--grep=^{subject}$")


def tags_of(project: Project, number: str) -> dict[str, str]:
    return dict(project.store().client.get_model_version("traceable-digits", number).tags)


def test_every_link_of_a_fresh_model_passes(linked: Project, lineage: Lineage) -> None:
    proof = lineage.verify(linked, CANDIDATE, "--rehash")
    assert proof.not_passed == {}
    assert proof.status == 0
    assert [link["name"] for link in proof.links] == LINKS
    assert all(link["looked_at"] > 0 for link in proof.links)
    assert proof.link("dataset")["looked_at"] == 1797 + 1  # each record, and the copy of the manifest in the run


def test_all_versions_are_proved_together(linked: Project, lineage: Lineage) -> None:
    document = json.loads(lineage(linked, "verify", "--all", "--json"))
    assert [model["model"] for model in document["models"]] == [
        "models:/traceable-digits/1",
        "models:/traceable-digits/2",
    ]
    assert {model["state"] for model in document["models"]} == {"PASS"}


def test_git_and_dvc_prove_the_model_with_mlflow_gone(project: Project, lineage: Lineage) -> None:
    (project.root / "mlflow.db").unlink()
    shutil.rmtree(project.root / "mlartifacts")
    proof = lineage.verify(project, "lineage.json")
    assert (proof.status, proof.not_passed) == (0, {})
    assert "was not asked" in proof.link("environment")["text"]
    status, output = lineage.ask(project, "verify", CANDIDATE)
    assert status == 2
    assert "no MLflow store" in output
    assert "Traceback" not in output
    assert not (project.root / "mlflow.db").exists()


def test_link_names_the_commits_that_hold_each_result(linked: Project) -> None:
    first, second = commit_of(linked, "First model"), commit_of(linked, "Second model")
    for number, commit in (("1", first), ("2", second)):
        tags = tags_of(linked, number)
        assert tags["lineage_status"] == "linked"
        assert tags["result_git_commit_id"] == commit
        assert tags["data_git_commit_id"] == first
    store = linked.store()
    for stage in ("preprocess", "train", "evaluate", "register"):
        for run in store.runs(stage):
            assert run.data.tags["lineage_status"] == "linked"
            assert run.data.params["data_git_commit_id"] == first
    pages = [store.artifacts(run, "lineage") for run in store.runs("register")]
    assert pages == [["lineage/traceable-digits-1.html"], ["lineage/traceable-digits-2.html"]]


def test_link_changes_nothing_the_second_time(project: Project, lineage: Lineage) -> None:
    before = (project.root / "mlflow.db").read_bytes()
    assert "0 linked now" in lineage(project, "link")
    assert (project.root / "mlflow.db").read_bytes() == before


def test_what_is_not_committed_stays_pending(project: Project, lineage: Lineage) -> None:
    project.git("reset", "--soft", "HEAD~1")
    project.git("update-ref", "-d", "refs/remotes/origin/main")
    output = lineage(project, "link")
    assert "the commit of models:/traceable-digits/2 is gone" in output
    tags = tags_of(project, "2")
    assert tags["lineage_status"] == "pending"
    assert "result_git_commit_id" not in tags
    assert tags["lost_git_commit_id"]
    assert lineage.verify(project, "models:/traceable-digits/2").state == "FAIL"
    commit = project.commit("Second model, committed anew")
    lineage(project, "link")
    tags = tags_of(project, "2")
    assert (tags["lineage_status"], tags["result_git_commit_id"]) == ("linked", commit)
    assert "lost_git_commit_id" not in tags


def test_a_clone_that_lacks_the_commits_takes_no_link_away(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    before = [tags_of(project, number) for number in "12"]
    other = Project(bake(tmp_path / "other"), project.venv, project.environment)
    shutil.rmtree(project.root / ".git")
    shutil.copytree(other.root / ".git", project.root / ".git")  # a history that knows nothing of these models
    assert "not in this clone" in lineage(project, "link")
    assert [tags_of(project, number) for number in "12"] == before
    assert lineage.verify(project, CANDIDATE).state == "FAIL"


@pytest.mark.parametrize("way", ["rebase", "squash"])
def test_rewritten_history_is_linked_anew(way: str, project: Project, lineage: Lineage) -> None:
    old = project.git("rev-parse", "HEAD")
    if way == "rebase":
        project.git("rebase", "--quiet", "--force-rebase", "--committer-date-is-author-date", "--root")
        project.git("commit", "--quiet", "--amend", "--message", "Second model, told better")
    else:
        (project.root / "notes.md").write_text("a note\n")
        project.commit("A note")
        project.git("reset", "--soft", "HEAD~2")
        project.git("commit", "--quiet", "--message", "Second model and a note")
    project.git("push", "--quiet", "--force", "origin", "main")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")
    assert lineage.verify(project, CANDIDATE).link("result commit")["state"] == "FAIL"
    lineage(project, "link")
    assert tags_of(project, "2")["result_git_commit_id"] == project.git("rev-parse", "HEAD") != old
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


def test_a_detached_head_a_worktree_and_a_subfolder_change_no_answer(
    project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    project.git("checkout", "--quiet", "--detach", "HEAD~1")
    assert lineage.verify(project, CANDIDATE).not_passed == {}
    project.git("checkout", "--quiet", "main")
    assert lineage.ask(project, "verify", CANDIDATE, folder=project.root / "conf" / "data")[0] == 0
    project.git("worktree", "add", "--quiet", str(tmp_path / "worktree"))
    shutil.copyfile(project.root / ".dvc" / "config.local", tmp_path / "worktree" / ".dvc" / "config.local")
    worktree = Project(tmp_path / "worktree", project.venv, project.environment)
    proof = lineage.verify(worktree, CANDIDATE)
    assert {name: link for name, link in proof.not_passed.items() if name != "DVC cache"} == {}
    assert "0 linked now" in lineage(worktree, "link")


def test_a_second_clone_proves_with_nothing_but_the_remotes(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    origin = linked.git("remote", "get-url", "origin")
    subprocess.run(["git", "clone", "--quiet", origin, str(tmp_path / "clone")], check=True)
    clone = Project(tmp_path / "clone", linked.venv, linked.environment)
    (clone.root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {linked.remote}\n")
    proof = lineage.verify(clone, "lineage.json", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})
    assert "no commit" not in lineage(clone, "trace", "lineage.json")


def test_a_thousand_commits_later(project: Project, lineage: Lineage) -> None:
    tip = project.git("rev-parse", "HEAD")
    head = "commit refs/heads/main\ncommitter T <t@example.org> {} +0000\ndata 1\nx\n{}"
    file = "M 100644 inline later.txt\ndata 4\n{:04}\n\n"
    stream = "".join(
        head.format(1_900_000_000 + number, f"from {tip}\n" if number == 0 else "") + file.format(number)
        for number in range(1000)
    )
    subprocess.run(
        ["git", "-C", project.root, "fast-import", "--quiet", "--force"], input=stream, text=True, check=True
    )
    project.git("reset", "--quiet", "--hard")
    project.git("push", "--quiet", "origin", "main")
    assert project.git("rev-list", "--count", f"{tip}..HEAD") == "1000"
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


def test_experiments_are_linked_and_linked_anew_when_applied(project: Project, lineage: Lineage) -> None:
    project.dvc("exp", "run", "--quiet", "--name", "sixth", "-S", "train=debug", "-S", "train.seed=6")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    tags = tags_of(project, "3")
    experiment = project.git("for-each-ref", "refs/exps", "--format=%(refname) %(objectname)")
    assert tags["result_git_commit_id"] in experiment
    (run,) = [run for run in project.store().runs("train") if run.info.run_id == tags["training_run_id"]]
    assert run.data.params["data_git_commit_id"] == commit_of(project, "First model")  # it is on a branch
    proof = lineage.verify(project, "sixth")
    assert list(proof.not_passed) == ["result commit"]  # nobody pushed the experiment
    assert "dvc exp push" in proof.not_passed["result commit"]
    assert "models:/traceable-digits/3" in lineage(project, "trace", "sixth")
    project.dvc("exp", "branch", "sixth", "sixth-branch")
    project.git("push", "--quiet", "origin", "sixth-branch")
    lineage(project, "link")
    assert lineage.verify(project, "models:/traceable-digits/3").not_passed == {}
    project.git("branch", "--quiet", "-D", "sixth-branch")
    project.git("push", "--quiet", "origin", "--delete", "sixth-branch")
    project.dvc("exp", "apply", "sixth")
    project.dvc("exp", "remove", "sixth")
    commit = project.commit("Take the sixth")
    project.git("push", "--quiet", "origin", "main")
    lineage(project, "link")
    assert tags_of(project, "3")["result_git_commit_id"] == commit
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


def test_a_cached_training_registered_in_a_new_store(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    with mlflow_server(project, tmp_path / "server.db") as uri:
        project.compose("train=debug", "train.seed=5", "train.weight_decay=1e-5", f"tracking.uri={uri}")
        output = project.dvc("repro")
        assert "stages.register" in output
        assert "stages.train" not in output
        project.commit("Registered in a second store")
        project.git("push", "--quiet", "origin", "main")
        project.dvc("push", "--quiet")
        lineage(project, "link")
        proof = lineage.verify(project, "models:/traceable-digits/1")
        assert (proof.status, proof.not_passed) == (0, {})
        assert proof.link("training run")["looked_at"] > 10  # it is in the first store
        page = tmp_path / "trace.html"
        lineage(project, "trace", CANDIDATE, "--html", str(page))
    assert lineage.ask(project, "verify", CANDIDATE)[0] == 2
    assert lineage.verify(project, "lineage.json").not_passed == {}


def test_trace_shows_the_chain_and_finds_it_from_every_end(linked: Project, lineage: Lineage) -> None:
    (model,) = json.loads(lineage(linked, "trace", CANDIDATE, "--json"))["models"]
    assert model["title"] == "models:/traceable-digits/2"
    assert model["result_commit"]["id"] == commit_of(linked, "Second model")
    assert model["data_commit"]["id"] == commit_of(linked, "First model")
    assert model["dataset"]["md5"] == linked.out("preprocess", "data/processed")
    assert sum(model["dataset"]["records"].values()) == 1797
    assert model["raw"]["md5"] == linked.out("fetch", "data/raw")
    assert model["training_run"]["parameters"]["train.seed"] == 5
    text = lineage(linked, "trace", "models:/traceable-digits/2")
    assert all(hash_ in text for hash_ in (model["identity"], model["dataset"]["md5"], model["raw"]["md5"]))
    both = ["models:/traceable-digits/1", "models:/traceable-digits/2"]
    second = both[1:]
    weights = linked.out("train", "models/model.safetensors")
    shard = next(iter(json.loads(linked.object(model["dataset"]["md5"]).read_text())))["md5"]
    ends = {
        model["training_run"]["id"]: second,
        model["identity"]: second,
        weights: second,
        "models/model.safetensors": second,
        "models": None,
        "data/processed": both,
        model["dataset"]["md5"]: both,
        model["dataset"]["sha256"]: both,
        model["raw"]["md5"]: both,
        shard: both,
        "HEAD": both,
        commit_of(linked, "First model"): both,
    }
    for end, expected in ends.items():
        status, output, errors = lineage.run(linked, "trace", end, "--json")
        if expected is None:
            assert status == 1
            assert "Traceback" not in errors
        else:
            assert sorted(found["title"] for found in json.loads(output)["models"]) == expected, end


def test_a_tag_of_the_data_is_found_and_shown(project: Project, lineage: Lineage) -> None:
    project.git("tag", "-a", "data/v1.0", "-m", "First data", "HEAD~1")
    lineage(project, "link")
    assert {tags_of(project, number)["data_version"] for number in "12"} == {"v1.0"}
    assert "data/v1.0" in lineage(project, "trace", CANDIDATE)
    assert "2 models" in lineage(project, "trace", "data/v1.0")
    assert "2 models" in lineage(project, "trace", "v1.0")
    assert lineage.verify(project, CANDIDATE).not_passed == {}


def test_the_page_is_one_small_file_that_loads_nothing(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    page = tmp_path / "trace.html"
    lineage(linked, "trace", "data/processed", "--html", str(page))
    text = page.read_text()
    assert page.stat().st_size < 300_000
    assert linked.out("preprocess", "data/processed") in text
    assert "<script" not in text
    assert all(word not in text for word in ("src=", "@import", "url("))


def test_restore_gives_the_same_hashes_with_an_empty_cache(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")
    before = {path: path.stat().st_mtime_ns for path in project.root.rglob("*") if path.is_file()}
    target = tmp_path / "restored"
    lineage(project, "restore", "models:/traceable-digits/1", "--to", str(target))
    restored = Project(target, project.venv, project.environment)
    assert restored.git("rev-parse", "HEAD") == commit_of(project, "First model")
    assert restored.git("status", "--porcelain") == ""
    assert restored.dvc("status").strip() == "Data and pipelines are up to date."
    after = {path: path.stat().st_mtime_ns for path in project.root.rglob("*") if path.is_file()}
    touched = {path for path in after if before.get(path) != after[path]}
    assert all(".git" in path.parts or ".dvc" in path.parts for path in touched)
    assert set(before) <= set(after)


def test_restore_brings_data_alone_from_a_bare_hash(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    dataset = project.out("preprocess", "data/processed")
    empty = Project(
        bake(tmp_path / "other"), project.venv, project.environment
    )  # its history knows nothing of the hash
    (empty.root / ".dvc" / "config.local").write_text((project.root / ".dvc" / "config.local").read_text())
    lineage(empty, "restore", dataset, "--to", str(tmp_path / "bare"))
    lineage(project, "restore", CANDIDATE, "--data-only", "--to", str(tmp_path / "data"))
    for folder in (tmp_path / "bare", tmp_path / "data" / "data" / "processed"):
        assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "manifest.parquet", "shards"]
    assert not (tmp_path / "data" / "dvc.yaml").exists()
    lineage(project, "restore", dataset, "--as", "image_folder", "--to", str(tmp_path / "images"))
    assert len(list((tmp_path / "images").rglob("*.png"))) == 1797


def test_restore_finds_a_corrupted_cache_and_takes_the_remote(
    project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    weights = project.out("train", "models/model.safetensors")
    project.cached(weights).chmod(0o644)
    project.cached(weights).write_bytes(b"not the weights")
    lineage(project, "restore", CANDIDATE, "--to", str(tmp_path / "restored"))
    project.object(weights).chmod(0o644)
    project.object(weights).write_bytes(b"not the weights either")
    status, output = lineage.ask(project, "restore", CANDIDATE, "--to", str(tmp_path / "wrong"))
    assert status == 1
    assert weights in output
    assert not (tmp_path / "wrong").exists()
    assert list(tmp_path.glob(".*.partial")) == []


def test_restore_refuses_a_folder_that_holds_something(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    assert "is there already" in lineage(linked, "restore", CANDIDATE, "--to", str(tmp_path), code=1)
    assert (tmp_path / "mine").read_text() == "keep me"


def test_the_hook_links_after_a_commit_and_never_fails_it(project: Project, lineage: Lineage) -> None:
    lineage(project, "link", "--install-hook")
    project.sql("UPDATE model_version_tags SET value = 'pending' WHERE key = 'lineage_status'")
    project.git("commit", "--quiet", "--allow-empty", "--message", "Nothing of interest")
    assert not (project.root / ".dvc" / "tmp" / "link.log").exists()
    lock = project.root / "dvc.lock"
    lock.write_text(lock.read_text() + "\n")
    project.commit("A blank line")
    assert wait_linked(project), (project.root / ".dvc" / "tmp" / "link.log").read_text()


def wait_linked(project: Project) -> bool:
    """Waits until the hook, which works in the background, has linked both versions."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if {tags_of(project, number)["lineage_status"] for number in "12"} == {"linked"}:
            return True
        time.sleep(0.2)
    return False


def test_the_hook_leaves_other_hooks_alone(project: Project, lineage: Lineage) -> None:
    hook = project.root / ".git" / "hooks" / "post-commit"
    hook.write_text("#!/bin/sh\necho mine\n")
    assert "left alone" in lineage(project, "link", "--install-hook")
    assert "mine" in hook.read_text()


def test_a_project_in_a_subdirectory_of_a_larger_repository(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    outer = Project(tmp_path / "outer", project.venv, project.environment)
    inner = Project(outer.root / "digits", project.venv, project.environment)
    commits = project.git("rev-list", "--reverse", "HEAD").splitlines()
    outer.root.mkdir()
    outer.git("init", "--quiet")
    outer.git("fetch", "--quiet", str(project.root), "HEAD")
    parent: list[str] = []
    for commit in commits:  # the same history, a folder further down
        tree = outer.git("rev-parse", f"{commit}^{{tree}}")
        nested = subprocess.run(
            ["git", "mktree"], cwd=outer.root, input=f"040000 tree {tree}\tdigits\n", text=True, capture_output=True
        ).stdout.strip()
        parent = ["-p", outer.git("commit-tree", nested, *parent, "-m", "Nested")]
    outer.git("reset", "--quiet", "--soft", parent[1])
    shutil.copytree(project.root, inner.root, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    outer.git("reset", "--quiet")
    inner.sql("UPDATE experiments SET artifact_location = ?", f"file://{inner.root}/mlartifacts")
    lineage(inner, "link")
    proof = lineage.verify(inner, CANDIDATE)
    assert (proof.status, proof.not_passed) == (0, {})
    lineage(inner, "restore", CANDIDATE, "--to", str(tmp_path / "restored"))
    restored = Project(tmp_path / "restored" / "digits", project.venv, project.environment)
    assert restored.dvc("status").strip() == "Data and pipelines are up to date."


@pytest.mark.slow
def test_reproduce_says_bit_identical(project: Project, lineage: Lineage) -> None:
    assert "bit-identical, 9 of 9 outputs" in lineage(project, "reproduce", CANDIDATE)


def test_reproduce_says_what_differs(project: Project, lineage: Lineage) -> None:
    """Another seed, by an edit of the very commit that is reproduced."""
    params = project.root / "params.yaml"
    params.write_text(params.read_text().replace("seed: 5", "seed: 7"))
    project.git("commit", "--quiet", "--all", "--amend", "--message", "Second model")
    project.git("push", "--quiet", "--force", "origin", "main")
    lineage(project, "link")
    status, output, _ = lineage.run(project, "reproduce", CANDIDATE, "--here", "--json")
    document = json.loads(output)
    assert status == 1
    assert not document["identical"]
    assert "models/model.safetensors" in document["hashes"]
    assert "data/processed" not in document["hashes"]
    assert max(document["weights"].values()) > 0
    assert "test.loss" in document["metrics"]
