"""What MLflow has forgotten, or was told otherwise, is in the scope: Git and the bytes show whose it is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from auditing import NAME, UNKNOWN, Ask, add_run, dataset, end, forge_manifest, subject
from baked import Project
from command import Lineage
from consent import FIRST, OUT, SECOND, STAYS, Cycle
from damage import manifest, overwrite
from mlflow.entities import Run

from lineage.tracking.store import Store

LONG_BEFORE = "2024-01-01"


def delete_and_purge(project: Project) -> None:
    client = project.store().client
    client.delete_model_version(NAME, "1")
    for table in ("params", "metrics", "latest_metrics", "runs", "tags"):
        assert project.sql(f"DELETE FROM {table} WHERE run_uuid IN {RUNS_OF_FIRST}", dataset_of_first(project)) > 0


def delete_and_fail(project: Project) -> None:
    client = project.store().client
    first = dataset_of_first(project)
    client.delete_model_version(NAME, "1")
    for stage in ("preprocess", "train", "evaluate", "register"):
        for run in project.store().runs(stage):
            if run.data.tags.get("dvc_data_md5") == first:
                client.update_run(run.info.run_id, status="FAILED")


def change_store(project: Project) -> None:
    project.compose("privacy=registry", "privacy.salt=optout", "train=debug", "tracking.uri=sqlite:///other.db")
    project.run("python", "-c", "import mlflow; mlflow.MlflowClient('sqlite:///other.db').search_experiments()")


def change_store_and_lose_it(project: Project) -> None:
    change_store(project)
    (project.root / "mlflow.db").unlink()


RUNS_OF_FIRST = "(SELECT run_uuid FROM tags WHERE key = 'dvc_data_md5' AND value = ?)"


def dataset_of_first(project: Project) -> str:
    # by the history: the version may be gone
    text = project.git("show", f"{project.commit_of('Everybody')}:dvc.lock")
    return text[text.index("path: data/processed") :].split("md5: ")[1].split()[0]


FORGOTTEN: dict[str, Callable[[Project], None]] = {
    "deleted and purged": delete_and_purge,
    "deleted, runs failed": delete_and_fail,
    "another store": change_store,
    "another store, the old one gone": change_store_and_lose_it,
}


@pytest.mark.parametrize("forget", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_model_that_mlflow_forgot_counts_by_its_dataset(
    forget: Callable[[Project], None], project: Project, excluded: Ask, lineage: Lineage, cycle: Cycle
) -> None:
    forget(project)
    answer = excluded(project, since=LONG_BEFORE)
    assert answer.verdict == "FAILED"
    assert f"{OUT} is in " in answer.reasons
    status, found = subject(lineage, project, OUT)
    assert status in (0, 2)
    assert found["uses"]
    output = lineage.run(project, "audit", "affected")[1]
    assert "Git holds 2 models" in output
    if forget in (delete_and_purge, delete_and_fail):
        assert "MLflow has no version of model" in output
        assert excluded(project).verdict == "PASSED"  # since the opt-out, all is as it was
        proof = lineage.verify(project, "--all")
        assert proof.status == 2
        assert "Git holds it, and MLflow has no version of it" in proof.output
        (chain,) = json.loads(lineage(project, "trace", dataset_of_first(project), "--json"))["models"]
        assert chain["gaps"] == ["Git holds it, and sqlite:///mlflow.db has no version of it."]
        assert chain["dataset"]["md5"] == dataset_of_first(project)
        planned = json.loads(lineage(project, "erase", OUT, "--plan", "--json"))
        assert [name.startswith("model ") for name in planned["models"]] == [True]
    if forget is change_store_and_lose_it:
        answer = excluded(project)
        assert answer.verdict == "INCONCLUSIVE"
        assert "the MLflow store sqlite:///mlflow.db, which " in answer.reasons
        assert not (project.root / "mlflow.db").exists()


def test_a_model_that_only_the_reflog_leads_to_counts(project: Project, excluded: Ask) -> None:
    """Version 1 is deleted, and its commit is on no branch any more."""
    delete_and_purge(project)
    project.git("checkout", "--quiet", "--orphan", "fresh")
    project.commit("All in one")
    project.git("branch", "--quiet", "-D", "main")
    assert excluded(project, since=LONG_BEFORE).verdict == "FAILED"
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")
    answer = excluded(project, since=LONG_BEFORE)
    assert answer.verdict == "INCONCLUSIVE"  # its files are in the store, and nobody knows whose they are
    assert "logged model m-" in answer.reasons


def test_a_model_that_is_not_committed_counts(project: Project, excluded: Ask, lineage: Lineage) -> None:
    path = project.root / "dvc.lock"
    path.write_text(path.read_text().replace(dataset(project, "2"), UNKNOWN))
    answer = excluded(project)
    assert answer.verdict == "INCONCLUSIVE"
    assert "at dvc.lock here, not committed" in str(answer.after)
    findings = json.loads(lineage.run(project, "doctor", "--json")[1])
    finding = next(item for item in findings if item["check"] == "models")
    assert finding["state"] == "unknown"
    assert "MLflow has no version of model" in finding["text"]
    assert finding["fix"] == "lineage verify --all"


def test_git_and_dvc_answer_alone(project: Project, excluded: Ask, lineage: Lineage, cycle: Cycle) -> None:
    (project.root / "mlflow.db").unlink()
    alone = ("audit", "excluded", OUT, "--without-mlflow", "--since")
    assert f"{OUT} is in model " in lineage(project, *alone, LONG_BEFORE, code=1)
    output = lineage(project, *alone, cycle.moment)
    assert "of 0 versions and 0 runs in all (Git and DVC, without MLflow, project" in output
    assert "Git holds 2 models, MLflow was not asked" in output
    assert lineage.ask(project, *alone, cycle.moment, "--certificate", "c")[0] == 2
    assert "model " in lineage(project, "audit", "subject", OUT, "--without-mlflow")
    lineage(project, "audit", "affected", "--without-mlflow", code=1)
    assert not (project.root / "mlflow.db").exists()


def source_of_first(project: Project) -> tuple[str, str]:
    version = project.store().client.get_model_version(NAME, "1")
    return version.source, version.run_id


def under_another_name(project: Project) -> None:
    source, run_id = source_of_first(project)
    client = project.store().client
    client.create_registered_model("prod")
    client.create_model_version("prod", source, run_id)


def as_copy(project: Project) -> None:
    project.store().client.copy_model_version(f"models:/{NAME}/1", "prod")


def under_another_project(project: Project) -> None:
    project.store().client.create_model_version(NAME, source_of_first(project)[0], tags={"project_id": "other"})


def with_the_run_of_the_second(project: Project) -> None:
    client = project.store().client
    client.create_registered_model("prod")
    client.create_model_version("prod", source_of_first(project)[0], client.get_model_version(NAME, "2").run_id)


def with_the_tags_of_the_second(project: Project) -> None:
    project.store().client.create_model_version(NAME, source_of_first(project)[0], tags=project.version_tags("2"))


def as_copied_files(project: Project) -> None:
    client = project.store().client
    model = client.get_logged_model(source_of_first(project)[0].removeprefix("models:/"))
    copied = project.root.parent / "copied"
    shutil.copytree(model.artifact_location.removeprefix("file://"), copied)
    client.create_registered_model("prod")
    client.create_model_version("prod", copied.as_uri())


def run_of_a_stage_of_ones_own(project: Project) -> None:
    end(project, add_run(project, dataset(project, "1"), "finetune"))


def run_without_marks(project: Project) -> None:
    run_id = add_run(project, dataset(project, "1"))
    for tag in ("project_id", "dvc_stage", "dvc_data_md5"):
        project.store().client.delete_tag(run_id, tag)
    end(project, run_id)


def run_of_another_project(project: Project) -> None:
    end(project, add_run(project, dataset(project, "1"), project_id="p" + "0" * 31))


def run_that_says_register(project: Project) -> None:
    end(project, add_run(project, dataset(project, "1"), "register", dvc_run_md5="0" * 32))


def run_that_says_register_of_nothing(project: Project) -> None:
    end(project, add_run(project, dataset(project, "1"), "register"))


def run_that_says_register_of_the_second(project: Project) -> None:
    record = project.version_tags("2")["dvc_run_md5"]
    end(project, add_run(project, dataset(project, "1"), "register", dvc_run_md5=record))


def version_by_a_run_record_of_two(project: Project) -> None:
    """Another entry of train is given the record of the first one's run, and is the later one in Git."""
    record, lock = project.version_tags("1")["dvc_run_md5"], project.root / "dvc.lock"
    lock.write_text(lock.read_text().replace(project.version_tags("2")["dvc_run_md5"], record))
    project.commit("Forge")
    client = project.store().client
    client.create_registered_model("prod")
    client.create_model_version("prod", "s3://elsewhere/model", tags={"dvc_run_md5": record})


BY_HAND: dict[str, Callable[[Project], None]] = {
    "version under another name": under_another_name,
    "copy of a version": as_copy,
    "version of another project": under_another_project,
    "version with another run": with_the_run_of_the_second,
    "version with other tags": with_the_tags_of_the_second,
    "version of copied files": as_copied_files,
    "run of a stage of one's own": run_of_a_stage_of_ones_own,
    "run without marks": run_without_marks,
    "run of another project": run_of_another_project,
    "run that says register": run_that_says_register,
    "run that says register, of nothing": run_that_says_register_of_nothing,
    "run that says register, of another model": run_that_says_register_of_the_second,
    "version by a run record of two": version_by_a_run_record_of_two,
}


@pytest.mark.parametrize("register", BY_HAND.values(), ids=BY_HAND)
def test_what_was_registered_by_hand_counts(
    register: Callable[[Project], None], project: Project, excluded: Ask
) -> None:
    register(project)
    answer = excluded(project)
    assert answer.verdict == "FAILED", answer.reasons
    assert f"{OUT} is in " in answer.reasons
    if register is version_by_a_run_record_of_two:
        assert f"{OUT} is in models:/prod/1" in answer.reasons


def item(path: str, md5: str) -> dict[str, str]:
    return {"path": path, "hash": "md5", "md5": md5}


RESULT = item("models/tuned.bin", "d" * 32)
OWN_STAGES: dict[str, tuple[str, str, list[str], str]] = {  # the file, the stage, what it reads, the verdict
    "in a folder of its own": ("dvc.lock", "tune", ["../data/processed"], "FAILED"),
    "of a copy": ("dvc.lock", "tune", ["data/frozen"], "FAILED"),
    "of all data": ("dvc.lock", "tune", ["data"], "INCONCLUSIVE"),
    "evaluate, which leaves a model": ("dvc.lock", "evaluate", ["data/processed"], "FAILED"),
    "train, with a copy beside its data": ("dvc.lock", "train", ["data/processed", "data/frozen"], "FAILED"),
    "of another pipeline": ("tools/dvc.lock", "tune", ["../data/processed"], "INCONCLUSIVE"),
}


@pytest.mark.parametrize(("file", "stage", "reads", "verdict"), OWN_STAGES.values(), ids=OWN_STAGES)
def test_a_result_of_a_stage_of_ones_own_counts_however_it_names_the_dataset(
    file: str, stage: str, reads: list[str], verdict: str, project: Project, excluded: Ask
) -> None:
    first, second = dataset(project, "1"), dataset(project, "2")
    project.git("checkout", "--quiet", "-b", "tuned")
    path = project.root / file
    document = yaml.safe_load(path.read_text()) if path.exists() else {"schema": "2.0", "stages": {}}
    hashes = {"data": "e" * 32 + ".dir", "data/processed": second if stage == "train" else first}
    entry = {"cmd": "tune", "deps": [item(dep, hashes.get(dep, first)) for dep in reads], "outs": [RESULT]}
    document["stages"][stage] = entry
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    project.git("add", file)
    project.git("commit", "--quiet", "--message", "Tuned")
    project.git("checkout", "--quiet", "main")
    answer = excluded(project)
    assert (answer.verdict, answer.reasons != "") == (verdict, True)


def test_what_only_the_git_remote_has_is_not_taken_for_nothing(project: Project, excluded: Ask, tmp_path: Path) -> None:
    origin, other = tmp_path / "origin.git", tmp_path / "other"
    project.run("git", "init", "--quiet", "--bare", str(origin))
    project.git("remote", "add", "origin", str(origin))
    project.git("push", "--quiet", "origin", "main")
    assert excluded(project).verdict == "PASSED"
    project.run("git", "clone", "--quiet", "--branch", "main", str(origin), str(other))
    for command in (
        "commit --quiet --allow-empty --message x",
        "push --quiet origin HEAD:feature HEAD:refs/exps/ab/cd/e",
    ):
        project.run("git", "-C", str(other), *command.split())
    answer = excluded(project)
    assert answer.verdict == "INCONCLUSIVE"
    assert "this clone lacks refs/exps/ab/cd/e, refs/heads/feature of origin" in answer.reasons
    project.run("sh", "-c", answer.reasons.split("`")[1])
    assert excluded(project).verdict == "PASSED"
    origin.rename(tmp_path / "away.git")
    assert "whether origin has commits that this clone does not: " in excluded(project).reasons


def test_what_cannot_be_placed_is_named(project: Project, excluded: Ask) -> None:
    client = project.store().client
    experiment = client.get_experiment_by_name(NAME).experiment_id
    run_id = client.create_run(experiment).info.run_id
    end(project, run_id)
    answer = excluded(project)
    assert answer.verdict == "INCONCLUSIVE"
    assert f"run {run_id} (no stage): it is in this project's experiment" in answer.reasons
    logged = client.create_logged_model(experiment)
    assert f"logged model {logged.model_id}: it was not registered by this pipeline" in excluded(project).reasons
    client.create_model_version(NAME, "file:///nowhere", tags={"project_id": "other"})
    assert f"models:/{NAME}/3: its tag says that it is of project other" in excluded(project).reasons


def test_what_others_have_in_the_store_does_not_count(project: Project, excluded: Ask, lineage: Lineage) -> None:
    client = project.store().client
    other = {"project_id": "p" + "0" * 31}
    run_id = client.create_run(client.create_experiment("theirs"), tags=other).info.run_id
    end(project, run_id)
    for name in ("theirs", NAME):
        if name != NAME:
            client.create_registered_model(name)
        client.create_model_version(name, "s3://bucket/theirs", run_id, tags=other)
    client.create_registered_model("plain")
    client.create_model_version("plain", "s3://bucket/plain")
    answer = excluded(project)
    assert (answer.verdict, answer.reasons) == ("PASSED", "")
    assert answer.document["looked_at"]["versions"] == 2
    proof = lineage.verify(project, "--all")
    assert "not looked at: 1" in proof.output


YEAR = 365 * 24 * 3600 * 1000


def backdate(project: Project, number: str) -> None:
    md5 = dataset(project, number)
    rows = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'dvc_data_md5' AND value = ?)"
    earlier = f"start_time = start_time - {YEAR}, end_time = end_time - {YEAR}"
    assert project.sql(f"UPDATE runs SET {earlier} WHERE {rows}", md5)
    change = f"UPDATE model_versions SET creation_time = creation_time - {YEAR} WHERE version = {number}"
    assert project.sql(change) == 1


def test_a_backdated_model_is_not_believed(project: Project, excluded: Ask, lineage: Lineage, cycle: Cycle) -> None:
    begun = project.git("log", "--format=%cI", "--max-count=1", project.commit_of("Begin from the template"))
    backdate(project, "1")
    answer = excluded(project, since=begun)
    assert answer.verdict == "INCONCLUSIVE"
    assert f"{OUT} is in {FIRST}, and nothing but MLflow says that it was made before {begun}" in answer.reasons
    answer = excluded(project)  # Git held the model before the opt-out; nothing shows when its dataset was made
    assert answer.verdict == "INCONCLUSIVE"
    assert "(preprocess), and nothing but MLflow" in answer.reasons
    assert FIRST not in answer.reasons
    proof = lineage.verify(project, FIRST)
    assert (proof.status, list(proof.not_passed)) == (2, ["training run"])
    assert lineage.verify(project, SECOND).state == "PASS"
    backdate(project, "2")
    answer = excluded(project, STAYS)
    assert answer.verdict == "INCONCLUSIVE"
    assert f"{STAYS} is in {SECOND}, and nothing but MLflow" in answer.reasons


@pytest.mark.parametrize("date", ["@99999999999999 +0000", "no date at all"])
def test_a_commit_with_an_odd_date_stops_no_answer(
    date: str, project: Project, excluded: Ask, lineage: Lineage
) -> None:
    project.git("checkout", "--quiet", "-b", "odd")
    with (project.root / "dvc.lock").open("a") as lock:
        lock.write("# x\n")
    project.commit("Odd")
    header = project.git("cat-file", "commit", "HEAD")
    committer = next(line for line in header.splitlines() if line.startswith("committer "))
    odd = f"{committer.rpartition('>')[0]}> {date.removeprefix('@')}"
    (project.root / "odd").write_text(header.replace(committer, odd) + "\n")
    commit = project.git("hash-object", "-t", "commit", "-w", "--literally", "odd")
    (project.root / "odd").unlink()
    project.git("update-ref", "refs/heads/odd", commit)
    project.git("checkout", "--quiet", "main")
    assert excluded(project, STAYS).verdict == "FAILED"
    assert excluded(project).verdict == "PASSED"
    assert "Traceback" not in lineage.ask(project, "trace", "odd")[1]
    assert lineage.verify(project, SECOND).state == "PASS"


def test_each_worktree_of_a_bare_repository_is_asked(
    project: Project, excluded: Ask, lineage: Lineage, tmp_path: Path
) -> None:
    """There the worktrees have a store each: the main one has no project to keep one for all."""
    bare = Project(tmp_path / "bare.git", project.venv, project.environment)
    project.git("clone", "--quiet", "--bare", str(project.root), str(bare.root))
    bare.git("remote", "remove", "origin")
    trees = {}
    for name, start in (("first", "main"), ("other", project.commit_of("Everybody"))):
        trees[name] = tree = Project(tmp_path / name, project.venv, project.environment)
        bare.git("worktree", "add", "--quiet", "-b", name, str(tree.root), start)
        shutil.copy(project.root / ".dvc" / "config.local", tree.root / ".dvc")
    for name in ("mlflow.db", "mlartifacts"):
        (project.root / name).rename(trees["first"].root / name)
    trees["first"].artifacts_were_at(project.root)
    assert excluded(trees["first"]).verdict == "PASSED"
    trees["other"].dvc("pull", "--quiet")
    shutil.copy(project.root / "consent.csv", trees["other"].root)
    client = trees["other"].store().client  # makes the tables
    experiment = client.create_experiment(project.params["tracking"]["experiment"])
    tags = {"project_id": project.params["project_id"], "dvc_stage": "train", "dvc_run_md5": "2" * 32}
    run = client.create_run(experiment, tags={**tags, "dvc_data_md5": dataset(trees["first"], "1")})
    client.set_terminated(run.info.run_id)
    answer = excluded(trees["first"])
    assert answer.verdict == "FAILED"
    assert f"{OUT} is in run {run.info.run_id}" in answer.reasons
    (found,) = (
        each for each in json.loads(lineage.run(trees["other"], "doctor", "--json")[1]) if each["check"] == "MLflow"
    )
    assert (found["state"], "git worktree remove" in found["text"]) == ("unknown", True)


def test_a_run_of_the_future_is_not_left_out(project: Project, excluded: Ask) -> None:
    assert project.sql(f"UPDATE model_versions SET creation_time = creation_time + {YEAR} WHERE version = 1") == 1
    assert excluded(project).verdict == "FAILED"


def test_a_model_that_was_committed_late_passes_where_the_cache_had_it_before(project: Project, excluded: Ask) -> None:
    """Trained a minute before the moment that is asked for, committed after it."""
    lock = yaml.safe_load(project.git("show", f"{project.commit_of('Everybody')}:dvc.lock"))["stages"]["train"]
    record = next(out["md5"] for out in lock["outs"] if out["path"] == "models/run.json")
    committed = int(project.git("log", "--format=%ct", "--max-count=1", project.commit_of("Everybody")))
    moment = datetime.fromtimestamp(committed, UTC).isoformat()
    assert project.sql("UPDATE runs SET start_time = ?, end_time = ?", *[(committed - 60) * 1000] * 2) > 0
    assert project.sql("UPDATE model_versions SET creation_time = ?", (committed - 60) * 1000) == 2
    for age, verdict in ((30, "PASSED"), (-30, "INCONCLUSIVE")):
        for path in (project.cached(record), project.object(record)):
            os.utime(path, (committed - age, committed - age))
        assert (f"{OUT} is in {FIRST}, and nothing" in excluded(project, since=moment).reasons) == (verdict != "PASSED")


def test_notes_of_somebody_else_are_not_believed(project: Project, excluded: Ask) -> None:
    """A manifest without a subject takes the place of the right one, here and in the remote, and notes vouch for it."""
    excluded(project)
    md5, name = dataset(project, "2"), manifest(project)
    table = pq.read_table(project.object(name))
    pq.write_table(table.filter(pc.not_equal(table["subject_id"], STAYS)), project.root / "forged.parquet")
    for path in (project.cached(name), project.object(name)):
        overwrite(path, (project.root / "forged.parquet").read_bytes())
    path, notes = project.cached(name), project.root / ".dvc" / "tmp" / "kept" / "audit"
    state = path.stat()
    known = (path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    key = hashlib.sha256(repr(known).encode()).hexdigest()
    for value in (name, f"{name}:{'0' * 32}"):
        (notes / "hashes.json").write_text(json.dumps({key: value}))
        (notes / "agreeing.json").write_text(json.dumps({md5: "0" * 32} if ":" in value else [md5]))
        answer = excluded(project, STAYS)
        assert answer.verdict == "INCONCLUSIVE"
        assert f"dataset {md5}: object {name} cannot be had" in answer.reasons


def test_statistics_that_lie_do_not_hide_anybody(project: Project, excluded: Ask) -> None:
    """Every hash is made to agree: only the file's own word for what is not in it is wrong."""
    name = manifest(project)
    data = bytearray(project.object(name).read_bytes())
    subjects = pq.read_table(project.object(name), columns=["subject_id"])["subject_id"].to_pylist()
    greatest, footer = max(subjects).encode(), len(data) - int.from_bytes(data[-8:-4], "little") - 8
    assert data.count(greatest, footer) > 0
    data[footer:] = bytes(data[footer:]).replace(greatest, b"%" * len(greatest))  # less than any PAT-...
    forge_manifest(project, bytes(data))
    answer = excluded(project, STAYS)
    assert answer.verdict in ("FAILED", "INCONCLUSIVE")
    assert answer.verdict == "FAILED" or "statistics in the manifest" in answer.reasons


def test_runs_are_listed_as_mlflow_lists_them(project: Project) -> None:
    """With the same tags, datasets, moments and order; and with parameters and metrics when these are asked for."""
    client, own = project.store().client, project.params["project_id"]
    added = [add_run(project, dataset(project, "2"), note="a tag") for _ in range(2)]
    client.delete_run(added[0])
    for name, value in (("of another", own.upper()), ("of nobody", None)):
        run = client.create_run(client.create_experiment(name), tags={"project_id": value} if value else {})
        client.log_param(run.info.run_id, "depth", "3")
    client.delete_experiment(client.get_experiment_by_name("of nobody").experiment_id)
    store = Store(f"sqlite:///{project.root}/mlflow.db", project.root, own)
    experiments = tuple(store.experiments)
    for project_id, wanted in ((own, f"tags.project_id = '{own}'"), (None, "tags.project_id IS NULL")):
        listed, whole = store._marked_runs(experiments, project_id), store._runs(experiments, wanted)
        assert [as_written(run) for run in listed.values()] == [as_written(run) for run in whole.values()]
        assert list(listed) == list(whole)
    assert store._database is not None
    assert added[0] in store.runs
    assert [run.data.params for run in store.unmarked_runs(experiments).values()] == [{"depth": "3"}]


def as_written(run: Run) -> tuple[object, ...]:
    """All that a run says, tags of an input in the order of their names."""
    read = [
        (entry.dataset.to_dictionary(), sorted((tag.key, tag.value) for tag in entry.tags))
        for entry in run.inputs.dataset_inputs
    ]
    return dict(run.info), run.data.tags, run.data.params, run.data.metrics, read
