"""FAILED where somebody is in; and which versions and runs count."""

from __future__ import annotations

import socket
import subprocess
from datetime import UTC, datetime

import pytest
from auditing import NAME, UNKNOWN, Ask, add_run, dataset, end, subject, tag_version
from baked import Project
from command import Lineage
from consent import (
    FIRST,
    OUT,
    SECOND,
    STAYS,
    Cycle,
)
from damage import training_run


def test_who_is_in_fails_and_is_named(cycle: Cycle, excluded: Ask) -> None:
    answer = excluded(cycle.project, OUT, STAYS)
    assert answer.verdict == "FAILED"
    assert f"{STAYS} is in {SECOND}" in answer.reasons
    assert OUT not in answer.reasons
    assert {record["subject_id"] for _, record in answer.document["found"]} == {STAYS}


def test_known_weights_count_with_their_data(project: Project, excluded: Ask) -> None:
    tag_version(project, "pretrained_sha256", project.version_tags("1")["model_sha256"])
    answer = excluded(project)
    assert answer.verdict == "FAILED"
    assert answer.reasons == f"{OUT} is in {SECOND}"
    assert set(answer.document["datasets"]) == {dataset(project, "1"), dataset(project, "2")}


@pytest.mark.parametrize("altered", [None, UNKNOWN, "2"])
def test_known_weights_whose_data_are_claimed_otherwise(altered: str | None, project: Project, excluded: Ask) -> None:
    tag_version(project, "pretrained_sha256", project.version_tags("1")["model_sha256"])
    if altered is None:
        project.store().client.delete_model_version_tag(NAME, "1", "dvc_data_md5")
    else:
        tag_version(project, "dvc_data_md5", dataset(project, "2") if altered == "2" else altered, "1")
    assert excluded(project).verdict != "PASSED"  # Git knows that OUT was in


def test_an_altered_tag_does_not_hide_what_git_knows(project: Project, excluded: Ask) -> None:
    for md5 in (UNKNOWN, dataset(project, "1")):
        tag_version(project, "dvc_data_md5", md5)
        assert excluded(project, STAYS).verdict == "FAILED"


def test_a_run_that_is_dead_is_listed_apart(project: Project, excluded: Ask) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead = add_run(project, dataset(project, "1"), host=socket.gethostname(), pid=str(gone.pid))
    killed, failed = (add_run(project, dataset(project, "1")) for _ in range(2))
    end(project, killed, "KILLED")
    end(project, failed, "FAILED")
    answer = excluded(project)
    assert (answer.verdict, answer.reasons) == ("PASSED", "")
    assert {use["name"] for use in answer.document["without_model"]} == {dead, killed, failed}
    assert not {dead, killed, failed} & set(answer.after)


def test_a_dead_pid_of_another_machine_or_of_a_job_proves_nothing(project: Project, excluded: Ask) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    job = {"host": socket.gethostname(), "pid": str(gone.pid), "lineage_in_job": "true"}
    run_id = add_run(project, dataset(project, "2"), **job)
    answer = excluded(project)
    assert answer.verdict == "INCONCLUSIVE"
    assert f"run {run_id} (train): it is still going on" in answer.reasons


def test_deleted_runs_count(project: Project, excluded: Ask) -> None:
    client = project.store().client
    for run in [run for stage in ("preprocess", "train", "evaluate") for run in project.store().runs(stage)]:
        client.delete_run(run.info.run_id)
    answer = excluded(project)
    assert answer.verdict == "PASSED"
    assert len(answer.after) == 1 + 3
    assert answer.document["looked_at"]["runs"] == 6
    assert f"{STAYS} is in {SECOND}" in excluded(project, STAYS).reasons
    late = add_run(project, dataset(project, "1"))
    end(project, late)
    client.delete_run(late)
    answer = excluded(project)
    assert answer.verdict == "FAILED"
    assert answer.reasons.startswith(f"{OUT} is in run {late} (train)")


def test_a_version_counts_where_its_runs_are_purged(project: Project, lineage: Lineage, excluded: Ask) -> None:
    for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
        assert project.sql(f"DELETE FROM {table}") > 0
    assert f"{STAYS} is in {SECOND}" in excluded(project, STAYS).reasons
    status, answer = subject(lineage, project, OUT)
    assert (status, [use["name"] for use in answer["uses"]]) == (0, [FIRST])


def test_what_was_registered_late_counts_however_early_it_was_trained(
    project: Project, excluded: Ask, cycle: Cycle
) -> None:
    later = int(datetime.fromisoformat(cycle.moment).timestamp() * 1000) + 1
    assert project.sql("UPDATE model_versions SET creation_time = ? WHERE version = 1", later) == 1
    answer = excluded(project)
    assert answer.reasons == f"{OUT} is in {FIRST}"
    assert answer.verdict == "FAILED"


def test_what_ended_late_counts_however_early_it_began(project: Project, excluded: Ask, cycle: Cycle) -> None:
    later = int(datetime.fromisoformat(cycle.moment).timestamp() * 1000) + 1
    run_id = training_run(project, "1")
    assert project.sql("UPDATE runs SET end_time = ? WHERE run_uuid = ?", later, run_id) == 1
    answer = excluded(project)
    assert answer.verdict == "FAILED"
    assert f"{OUT} is in run {run_id} (train)" in answer.reasons


def test_what_was_made_in_the_millisecond_of_the_moment_counts(project: Project, excluded: Ask, cycle: Cycle) -> None:
    """MLflow cuts its moments to milliseconds, which must not move them before a moment that is written longer."""
    within = int(datetime.fromisoformat(cycle.moment).timestamp() * 1000)
    since = datetime.fromtimestamp(within / 1000, UTC).replace(microsecond=within % 1000 * 1000 + 999).isoformat()
    assert project.sql("UPDATE model_versions SET creation_time = ? WHERE version = 1", within) == 1
    answer = excluded(project, since=since)
    assert (answer.verdict, answer.reasons) == ("FAILED", f"{OUT} is in {FIRST}")


def test_another_project_in_the_store_is_out_of_scope_and_the_answer_says_so(
    project: Project, excluded: Ask, lineage: Lineage, cycle: Cycle
) -> None:
    end(project, add_run(project, UNKNOWN, project_id="p" + "0" * 31))
    answer = excluded(project)
    assert (answer.verdict, answer.document["looked_at"]["runs"]) == ("PASSED", 6)
    scope = f"sqlite:///mlflow.db, project {project.params['project_id']}"
    assert answer.document["scope"] == scope
    text = lineage(project, "audit", "excluded", OUT, "--since", cycle.moment)
    assert f"of 2 versions and 6 runs in all ({scope}); 1 of 1 controls found." in text
    assert text.endswith(
        f"{OUT} excluded: PASSED for these ids; records with the same content that are in under other ids: 1\n"
    )


MANY = 1234
RUNS = """
INSERT INTO runs (run_uuid, name, source_type, status, experiment_id, start_time, end_time, lifecycle_stage,
                  artifact_uri, user_id, source_name, entry_point_name, source_version)
WITH RECURSIVE many(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM many WHERE number < ?)
SELECT printf('%032x', number), name, source_type, status, experiment_id, start_time, end_time, lifecycle_stage,
       artifact_uri, user_id, source_name, entry_point_name, source_version
FROM runs, many WHERE run_uuid = ?
"""
TAGS = """
INSERT INTO tags (key, value, run_uuid)
WITH RECURSIVE many(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM many WHERE number < ?)
SELECT key, value, printf('%032x', number) FROM tags, many WHERE run_uuid = ?
"""


def test_more_runs_than_a_page_holds(project: Project, excluded: Ask, lineage: Lineage) -> None:
    like = project.store().runs("preprocess")[-1].info.run_id
    assert project.sql(RUNS, MANY, like) == MANY
    assert project.sql(TAGS, MANY, like) > MANY
    answer = excluded(project)
    assert (answer.verdict, answer.document["looked_at"]["runs"]) == ("PASSED", 6 + MANY)
    assert len(answer.after) == 4 + MANY
    assert project.sql("DELETE FROM tags WHERE key = 'subjects_root' AND run_uuid LIKE '000000%'") == MANY
    # MLflow lists by time, then by id: these are on different pages
    for number in (1, MANY):
        one = f"{number:032x}"
        change = "UPDATE tags SET value = ? WHERE key = 'dvc_data_md5' AND run_uuid = ?"
        assert project.sql(change, dataset(project, "1"), one) == 1
        answer = excluded(project)
        assert (answer.verdict, answer.reasons) == ("FAILED", f"{OUT} is in run {one} (preprocess)")
        assert project.sql(change, dataset(project, "2"), one) == 1
