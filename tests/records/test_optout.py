"""Consent from end to end: a subject opts out, the same pipeline makes a model without them, and audits tell so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from baked import Project
from command import Lineage
from consent import (
    FIRST,
    IN_TEST,
    OUT,
    PROCESSED,
    SECOND,
    STAYS,
    SUBJECTS,
    UNLISTED,
    Cycle,
    everybody,
    finish,
    shards_of,
    without,
    write_registry,
)
from damage import edit

THIRD = SECOND.replace("/2", "/3")
SNAPSHOT = "data/consent.csv"
SINGLE = ("repro", "--single-item", "--force", "preprocess")


def audit(lineage: Lineage, project: Project, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of `lineage audit`."""
    status, output, errors = lineage.run(project, "audit", *arguments, "--json")
    assert output, errors
    return status, json.loads(output)


def versions(answer: dict[str, Any]) -> list[str]:
    return [use["name"] for use in answer["uses"] if use["kind"] == "version"]


def subjects_of(project: Project, md5: str) -> set[str]:
    """Who is in a dataset version, by its manifest in the remote."""
    entry = next(entry for entry in project.listing(md5) if entry["relpath"] == "manifest.parquet")
    return set(pq.read_table(project.object(entry["md5"]))["subject_id"].to_pylist())


def dataset(project: Project, number: str) -> str:
    return project.version_tags(number)["dvc_data_md5"]


# the cycle


def test_before_the_opt_out_everybody_listed_is_used(cycle: Cycle) -> None:
    assert subjects_of(cycle.project, dataset(cycle.project, "1")) == set(SUBJECTS) - {UNLISTED}
    assert "319 of 319 subjects are active" in cycle.first
    assert f"{FIRST} registered" in cycle.first


def test_after_the_opt_out_everybody_but_one_is_used(cycle: Cycle) -> None:
    assert subjects_of(cycle.project, dataset(cycle.project, "2")) == set(SUBJECTS) - {UNLISTED, OUT}
    assert "318 of 319 subjects are active" in cycle.second
    assert f"{SECOND} registered" in cycle.second


def test_a_changed_registry_runs_what_depends_on_it_and_nothing_else(cycle: Cycle) -> None:
    ran = [line for line in cycle.second.splitlines() if line.startswith("Running stage")]
    assert ran == [
        f"Running stage '{stage}':" for stage in ("consent@registry", "preprocess", "train", "evaluate", "register")
    ]


def test_only_shards_that_held_the_subject_changed(cycle: Cycle) -> None:
    first, second = (set(cycle.shards[name]) for name in ("first", "second"))
    assert len(first) > 15
    assert 1 <= len(first - second) <= 2
    assert len(second - first) <= 2
    listed = {entry["relpath"]: entry["md5"] for entry in cycle.project.listing(dataset(cycle.project, "1"))}
    holding = {
        name
        for name in first
        if OUT in pq.read_table(cycle.project.object(listed[f"shards/{name}"]))["subject_id"].to_pylist()
    }
    assert first - second == holding


def test_the_registry_tells_what_is_affected_before_anything_runs(cycle: Cycle) -> None:
    (found,) = [item for item in cycle.affected["affected"] if item["use"]["kind"] == "version"]
    assert found["use"]["name"] == FIRST
    assert found["use"]["aliases"] == ["candidate"]
    assert (found["subjects"], found["records"]) == ([OUT], 7)
    assert cycle.affected["retrain"].startswith("dvc repro && git add -A && git commit")


def test_the_subject_is_in_the_first_version_only(cycle: Cycle, lineage: Lineage) -> None:
    status, answer = audit(lineage, cycle.project, "subject", OUT)
    assert status == 0
    assert versions(answer) == [FIRST]
    assert {use["stage"] for use in answer["uses"]} == {"preprocess", "train", "evaluate"}
    assert {record["dataset"] for record in answer["records"]} == {dataset(cycle.project, "1")}
    assert len(answer["records"]) == 7
    assert len({record["label"] for record in answer["records"]}) == 5
    assert (answer["unknown"], answer["unknown_ids"]) == ([], [])


def test_the_subject_was_excluded_since_the_opt_out(cycle: Cycle, lineage: Lineage) -> None:
    status, answer = audit(lineage, cycle.project, "excluded", OUT, "--since", cycle.moment)
    assert (status, answer["verdict"], answer["reasons"]) == (0, "PASSED", [])
    assert answer["datasets"] == [dataset(cycle.project, "2")]
    assert answer["controls"] == 1


def test_who_is_left_out_is_counted(cycle: Cycle) -> None:
    first, second = (run.data.metrics for run in cycle.project.store().runs("preprocess"))
    assert (first["left_out_subjects_unlisted"], first["left_out_subjects_revoked"]) == (1, 0)
    assert (second["left_out_subjects_unlisted"], second["left_out_subjects_revoked"]) == (1, 1)
    assert second["left_out_records"] == first["left_out_records"] + 7
    splits = ("train", "val", "test")
    for metrics in (first, second):
        assert sum(metrics[f"{split}_records"] for split in splits) + metrics["left_out_records"] == 1797


def test_both_versions_are_proved(cycle: Cycle, lineage: Lineage) -> None:
    for arguments in ((FIRST, SECOND), ("--all", "--rehash")):
        proof = lineage.verify(cycle.project, *arguments)
        assert (proof.status, proof.state, proof.not_passed) == (0, "PASS", {})


def test_the_snapshot_is_an_object_of_dvc_and_no_file_of_git(cycle: Cycle) -> None:
    assert SNAPSHOT not in cycle.project.git("ls-files").splitlines()
    md5 = cycle.project.out("consent@registry", SNAPSHOT)
    assert cycle.project.object(md5).read_bytes() == (cycle.project.root / SNAPSHOT).read_bytes()
    assert cycle.project.lineage["consent"]["md5"] == md5 == cycle.project.version_tags("2")["dvc_consent_md5"]


# going on


def test_an_unchanged_registry_runs_nothing_but_its_reading(project: Project) -> None:
    write_registry(project, dict(reversed(without(OUT).items())))  # the order of rows says nothing
    output = project.dvc("repro")
    assert [line for line in output.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'consent@registry':"
    ]
    assert project.git("status", "--porcelain", "--", "dvc.lock", "lineage.json") == ""


def test_a_model_of_before_is_made_again_with_the_consent_of_then(project: Project, lineage: Lineage) -> None:
    assert "bit-identical" in lineage(project, "reproduce", FIRST, "--here")
    assert len(project.store().versions()) == 2


@dataclass
class Later:
    """The subject comes back, then another one, who is in the test split only, opts out."""

    project: Project
    back: str  # what `dvc repro` said
    dataset_of_back: str
    version_of_back: str
    third: str


@pytest.fixture(scope="module")
def later(cycle: Cycle, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Later:
    project = cycle.project.copy(tmp_path_factory.mktemp("later"))
    write_registry(project, everybody())
    back = project.dvc("repro")
    dataset_of_back, version_of_back = project.out("preprocess", PROCESSED), project.lineage["model"]["version"]
    finish(project, "Back", lineage)
    write_registry(project, without(IN_TEST))
    third = project.dvc("repro")
    finish(project, "Somebody of the test split", lineage)
    return Later(project, back, dataset_of_back, version_of_back, third)


def test_who_comes_back_brings_back_the_first_dataset_version(later: Later) -> None:
    assert later.dataset_of_back == dataset(later.project, "1")
    assert "Stage 'preprocess' is cached" in later.back
    # nothing is trained that was trained before: the candidate is the first version again
    assert f"{FIRST} was registered before" in later.back
    assert later.version_of_back == "1"


def test_audits_tell_who_came_back(later: Later, cycle: Cycle, lineage: Lineage) -> None:
    status, answer = audit(lineage, later.project, "subject", OUT)
    assert (status, versions(answer)) == (0, [FIRST, THIRD])
    status, answer = audit(lineage, later.project, "excluded", OUT, "--since", cycle.moment)
    assert (status, answer["verdict"]) == (1, "FAILED")
    assert f"{OUT} is in {THIRD}" in answer["reasons"]
    assert not [reason for reason in answer["reasons"] if SECOND in reason]


def test_an_opt_out_from_the_test_split_gives_equal_weights_and_a_new_version(later: Later, lineage: Lineage) -> None:
    assert f"{THIRD} registered" in later.third
    first, third = (later.project.version_tags(number) for number in ("1", "3"))
    assert first["dvc_model_md5"] == third["dvc_model_md5"]
    assert first["model_identity"] != third["model_identity"]
    assert first["dvc_data_md5"] != third["dvc_data_md5"]
    assert subjects_of(later.project, third["dvc_data_md5"]) == set(SUBJECTS) - {UNLISTED, IN_TEST}
    status, answer = audit(lineage, later.project, "subject", IN_TEST)
    assert (status, versions(answer)) == (0, [FIRST, SECOND])
    assert lineage.verify(later.project, "--all").state == "PASS"


# no way around it


@pytest.fixture(scope="module")
def guarded(cycle: Cycle, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which whatever is tried is refused, so that each test finds it as it was."""
    return cycle.project.copy(tmp_path_factory.mktemp("guarded"))


def refused(project: Project, *command: str, environment: dict[str, str] | None = None) -> str:
    """What dvc says where it must not do it: no traceback, the same dvc.lock, no run, no other dataset."""
    lock, runs = (project.root / "dvc.lock").read_bytes(), len(project.store().runs("preprocess"))
    place = Project(project.root, project.venv, project.environment | (environment or {}))
    output = place.run("dvc", *command, code=None)
    assert "failed to reproduce" in output
    assert "Traceback" not in output
    assert (project.root / "dvc.lock").read_bytes() == lock
    assert len(project.store().runs("preprocess")) == runs
    project.dvc("checkout", "--quiet", "--force")
    assert project.git("status", "--porcelain", "--", "dvc.lock") == ""
    assert OUT not in pq.read_table(project.root / PROCESSED / "manifest.parquet")["subject_id"].to_pylist()
    return output


def test_preprocess_alone_does_not_go_past_a_changed_registry(guarded: Project) -> None:
    write_registry(guarded, without(OUT, STAYS))
    output = refused(guarded, *SINGLE)
    assert "preprocess: the consent of 1 subjects in data/consent.csv is not active any more. `dvc repro`" in output
    assert STAYS not in output
    write_registry(guarded, without(OUT))


def test_a_revocation_in_other_letters_is_said(project: Project) -> None:
    write_registry(project, {**without(OUT), STAYS.lower(): "revoked"})
    output = project.dvc("repro", "preprocess")
    assert "warning: 1 active ids differ from a revoked one in upper and lower case alone" in output
    assert STAYS.lower() not in output
    assert "Revoked, and without a record here: 1." in output


EDITS = {
    "revoked": (f'"{OUT}","revoked"', f'"{OUT}","active"', "the consent of 1 subjects"),
    "unlisted": (f'"{STAYS}","active"', f'"{STAYS}","active"\n"{UNLISTED}","active"', "the consent of 1 subjects"),
    "fewer": (f'"{STAYS}","active"\n', "", "is not what stage consent@registry made"),
}


@pytest.mark.parametrize(("old", "new", "reason"), EDITS.values(), ids=EDITS)
def test_a_snapshot_edited_by_hand_is_refused(old: str, new: str, reason: str, guarded: Project) -> None:
    edit(guarded.root / SNAPSHOT, old, new)()
    assert reason in refused(guarded, *SINGLE)


def test_a_snapshot_that_is_missing_is_refused(guarded: Project) -> None:
    (guarded.root / SNAPSHOT).unlink()
    assert "data/consent.csv" in refused(guarded, *SINGLE)


def test_no_variable_takes_an_older_snapshot_for_the_registry(guarded: Project, cycle: Cycle, tmp_path: Path) -> None:
    """The first two once were the way of `lineage reproduce`; the third says that this is a job."""
    snapshot, spec = tmp_path / "consent.csv", tmp_path / "job_spec.json"
    snapshot.write_text((cycle.project.root / SNAPSHOT).read_text().replace('"revoked"', '"active"'))
    place = Project(guarded.root, guarded.venv, guarded.environment)
    place.environment |= {"PIPELINE_CALLBACKS": "none", "PIPELINE_CONSENT": str(snapshot)}
    place.dvc("repro", "preprocess")
    assert OUT not in pq.read_table(place.root / PROCESSED / "manifest.parquet")["subject_id"].to_pylist()
    write_registry(guarded, without(OUT, STAYS))
    assert "the consent of 1 subjects" in refused(guarded, *SINGLE, environment=place.environment)
    spec.write_text("{}")
    said = refused(guarded, *SINGLE, environment={"PIPELINE_JOB_SPEC": str(spec)})
    assert "PIPELINE_JOB_SPEC is set, and this is no job. Unset it" in said
    write_registry(guarded, without(OUT))


def test_nothing_is_registered_from_a_folder_of_a_reproduction(guarded: Project, tmp_path: Path) -> None:
    """Nor from one that somebody has marked as such, to have an older snapshot stand for the registry."""
    snapshot = tmp_path / "consent.csv"
    snapshot.write_text((guarded.root / SNAPSHOT).read_text().replace('"revoked"', '"active"'))
    mark = guarded.root / ".dvc" / "tmp" / "reproduction.json"
    mark.write_text(json.dumps({"consent": str(snapshot)}))
    versions = len(guarded.store().versions())
    said = refused(guarded, "repro", "--single-item", "--force", "register")
    mark.unlink()
    assert "was made by `lineage reproduce`: nothing is registered from there" in said
    assert len(guarded.store().versions()) == versions


REGISTRIES = {
    "missing": (None, "could not be read"),
    "empty": ("", "consent.csv"),
    "no rows": ("subject_id,consent_status,effective_at\n", "it has no rows"),
    "future": (f"subject_id,consent_status,effective_at\n{STAYS},active,2999-01-01T00:00:00Z\n", "in the future"),
    "half a row": (f"subject_id,consent_status,effective_at\n{STAYS},active,2024-01-01T00:00:00Z\n{OUT},act", "line 3"),
}


@pytest.mark.parametrize(("text", "reason"), REGISTRIES.values(), ids=REGISTRIES)
def test_a_registry_that_cannot_be_read_stops_the_pipeline(text: str | None, reason: str, guarded: Project) -> None:
    registry = guarded.root / "consent.csv"
    before = shards_of(guarded)
    if text is None:
        registry.unlink()
    else:
        registry.write_text(text)
    output = refused(guarded, "repro")
    (sentence,) = [line for line in output.splitlines() if line.startswith("consent: ")]
    assert reason in sentence
    assert "Running stage 'preprocess'" not in output
    assert shards_of(guarded) == before
    write_registry(guarded, without(OUT))


def test_nobody_is_asked_once_a_commit_says_so(project: Project, lineage: Lineage) -> None:
    """A composition that leaves the registry out could be an oversight."""
    (project.root / "consent.csv").unlink()
    lineage(project, "compose", "train=debug")
    refused = project.dvc("repro", "preprocess", code=255)
    assert "config: the last commit asks a consent registry, params.yaml does not any more" in refused
    assert "Traceback" not in refused
    project.commit("Nobody is asked any more")
    output = project.dvc("repro", "preprocess")
    assert "consent" not in output
    listed = set(pq.read_table(project.root / PROCESSED / "manifest.parquet")["subject_id"].to_pylist())
    assert listed == set(SUBJECTS)
    status, _, errors = lineage.run(project, "audit", "affected")
    assert status == 2
    assert "this project asks nobody for consent" in errors
