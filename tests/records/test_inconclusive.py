"""What is unknown is INCONCLUSIVE, each time with its reason."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from auditing import NAME, UNKNOWN, Ask, add_run, dataset, end, forge_manifest, lose_manifest, tag_run, tag_version
from baked import Project
from command import Lineage
from consent import (
    OUT,
    SECOND,
    STAYS,
    Cycle,
)
from damage import flip, manifest, overwrite, run_artifact, training_run


def test_the_copy_that_is_damaged_passes_undamaged(project: Project, excluded: Ask) -> None:
    answer = excluded(project)
    assert (answer.verdict, answer.reasons) == ("PASSED", "")
    assert answer.after[0] == SECOND
    assert len(answer.after) == 1 + 3


def lose_listing(project: Project) -> None:
    md5 = dataset(project, "2")
    project.cached(md5).unlink()
    project.object(md5).unlink()


def damage_manifest(project: Project) -> None:
    for path in (project.cached(manifest(project)), project.object(manifest(project))):
        overwrite(path, flip(path.read_bytes()))


def run_elsewhere(project: Project) -> None:
    add_run(project, dataset(project, "2"), host="another-machine", pid="1")


def run_here(project: Project) -> None:
    add_run(project, dataset(project, "2"), host=socket.gethostname(), pid="1")  # somebody has this pid


def run_of_unknown_data(project: Project) -> None:
    run_id = add_run(project, dataset(project, "2"), read=False)
    project.store().client.delete_tag(run_id, "dvc_data_md5")
    end(project, run_id)


def preprocess_of_other_subjects(project: Project) -> None:
    root = project.version_tags("1")["subjects_root"]
    end(project, add_run(project, dataset(project, "2"), "preprocess", read=False, subjects_root=root))


def register_by_hand(project: Project) -> None:
    client = project.store().client
    client.create_model_version(NAME, client.get_model_version(NAME, "2").source)


def lose_commit(project: Project) -> None:
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")


INCONCLUSIVE: dict[str, tuple[Callable[[Project], object], str]] = {
    "manifest gone": (lose_manifest, "dataset {second}: object {manifest} cannot be had"),
    "listing gone": (lose_listing, "dataset {second}: object {second}"),
    "manifest damaged": (damage_manifest, "dataset {second}: object {manifest} cannot be had"),
    "logged manifest gone": (
        lambda project: run_artifact(project, "manifest.parquet").unlink(),
        "the manifest that run {run} has logged is gone",
    ),
    "run going on elsewhere": (run_elsewhere, "it is still going on"),
    "run going on here": (run_here, "it is still going on"),
    "run of unknown data": (run_of_unknown_data, "it does not say which dataset version it worked with"),
    "tag of a run that made data": (preprocess_of_other_subjects, "(preprocess): "),
    "weights of a version": (
        lambda project: tag_version(project, "pretrained_sha256", "ab" * 32),
        "models:/traceable-digits/2: it started from weights whose data are unknown (SHA-256 abababababab...)",
    ),
    "weights of a run": (
        lambda project: tag_run(project, "parent_model_sha256", "cd" * 32),
        "run {run} (train): it started from weights whose data are unknown (SHA-256 cdcdcdcdcdcd...)",
    ),
    "registered by hand": (register_by_hand, "models:/traceable-digits/3: it was not registered by this pipeline"),
    "version without project": (
        lambda project: project.store().client.delete_model_version_tag(NAME, "2", "project_id"),
        "models:/traceable-digits/2: it was not registered by this pipeline",
    ),
    "tag of a version": (
        lambda project: tag_version(project, "dvc_data_md5", UNKNOWN),
        f"models:/traceable-digits/2: MLflow says it was trained on {UNKNOWN}, Git says on {{second}}",
    ),
    "no tag of a version": (
        lambda project: project.store().client.delete_model_version_tag(NAME, "2", "dvc_data_md5"),
        "models:/traceable-digits/2: MLflow says it was trained on None, Git says on {second}",
    ),
    "tag of a run": (
        lambda project: tag_run(project, "dvc_data_md5", UNKNOWN),
        f"run {{run}} (train): its tag says {UNKNOWN}, its logged input {{second}}",
    ),
    "no tag of a run": (
        lambda project: project.store().client.delete_tag(training_run(project), "dvc_data_md5"),
        "run {run} (train): it does not say which dataset version it worked with",
    ),
    "input of a run": (
        lambda project: project.sql("DELETE FROM inputs WHERE destination_id = ?", training_run(project)),
        "run {run} (train): its tag says {second}, its logged input nothing",
    ),
    "identity of a version": (
        lambda project: tag_version(project, "model_identity", "0" * 64),
        "models:/traceable-digits/2: no commit proves what it was trained on",
    ),
    "commit gone": (lose_commit, "models:/traceable-digits/2: no commit proves what it was trained on"),
}


@pytest.mark.parametrize(("change", "reason"), INCONCLUSIVE.values(), ids=INCONCLUSIVE)
def test_what_cannot_be_told_is_inconclusive_and_named(
    change: Callable[[Project], object], reason: str, project: Project, excluded: Ask
) -> None:
    names = {"second": dataset(project, "2"), "manifest": manifest(project), "run": training_run(project)}
    change(project)
    answer = excluded(project)
    assert answer.verdict == "INCONCLUSIVE"
    assert reason.format(**names) in answer.reasons


def test_a_manifest_that_lacks_a_subject_of_the_shards(project: Project, excluded: Ask) -> None:
    """Every hash of every place is made to agree, so that only the shards speak against it."""
    table = pq.read_table(project.object(manifest(project)))
    pq.write_table(table.filter(pc.not_equal(table["subject_id"], STAYS)), project.root / "manifest.parquet")
    forged = forge_manifest(project, (project.root / "manifest.parquet").read_bytes())
    answer = excluded(project, STAYS)
    assert answer.document["datasets"] == [forged]
    assert answer.verdict == "INCONCLUSIVE"
    assert answer.document["reasons"] == [
        f"dataset {forged}: the manifest of dataset {forged} does not hold what the shards hold (`lineage verify`)"
    ]


def test_a_damaged_copy_in_the_cache_is_passed_over_where_the_remote_is_whole(project: Project, excluded: Ask) -> None:
    path = project.cached(manifest(project))
    overwrite(path, flip(path.read_bytes()))
    assert excluded(project).verdict == "PASSED"


def test_bytes_that_rot_where_the_file_looks_untouched(project: Project, installed: Project, excluded: Ask) -> None:
    """As far as size, times and inode can tell, it is the file that was hashed: only its page's checksum is wrong."""
    excluded(project)
    md5 = manifest(project)
    path, notes = project.cached(md5), project.root / ".dvc" / "tmp" / "kept" / "audit" / "hashes.json"
    data = path.read_bytes()
    overwrite(path, data.replace(STAYS.encode(), b"PAT-99999"))
    sign = (
        f"import os; from lineage.base.hash_cache import signature; import hashlib; "
        f"s = os.stat({str(path)!r}); from pathlib import Path; "
        f"state = (Path({str(path)!r}), s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns); "
        f"key = hashlib.sha256(repr(state).encode()).hexdigest(); print(key, signature('md5', key, {md5!r}))"
    )
    key, signed = installed.run("python", "-c", sign).split()
    notes.write_text(json.dumps({**json.loads(notes.read_text()), key: f"{md5}:{signed}"}))
    shutil.rmtree(notes.with_name("index"), ignore_errors=True)  # which would know its rows
    answer = excluded(project, STAYS)
    assert answer.verdict == "INCONCLUSIVE"
    assert f"the manifest of dataset {dataset(project, '2')} cannot be read" in answer.reasons
    overwrite(path, data)  # which is a change, so it is hashed again
    assert excluded(project).verdict == "PASSED"


def test_a_store_that_is_gone(project: Project, lineage: Lineage, cycle: Cycle) -> None:
    (project.root / "mlflow.db").unlink()
    status, output, errors = lineage.run(project, "audit", "excluded", OUT, "--since", cycle.moment)
    assert (status, output) == (2, "")
    assert "INCONCLUSIVE: there is no MLflow store" in errors
    assert "Traceback" not in errors
