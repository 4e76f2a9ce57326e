"""lineage report: the comment of a pull request, whatever of it can be had."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
from baked import Project
from command import Lineage
from damage import manifest

FIRST, SECOND = "models:/traceable-digits/1", "models:/traceable-digits/2"
DETAILS = "<details><summary>What differs</summary>"


def report(lineage: Lineage, project: Project, *given: str, code: int = 0) -> str:
    status, output, errors = lineage.run(project, "report", *given)
    assert status == code, output + errors
    return output


def test_a_page_without_anybodys_ids(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    folder, file = tmp_path / "pictures", tmp_path / "report.md"
    given = ("--to", str(file), "--pictures", str(folder), "--pictures-at", "https://host/raw/1/")
    assert report(lineage, linked, "HEAD~1", "HEAD", *given) == ""
    text = file.read_text()
    head = text.partition("\n### ")[0]
    assert "- Verify: **PASS** models:/traceable-digits/2: " in head
    assert re.search(r"- Accuracy on the same records: 0\.\d+ -\\> 0\.\d+ ", head)
    assert "- Drift: none, the dataset version is the same\n- Slices: none are asked for" in head
    assert "- Cost of jobs: no job was paid for" in head
    assert "Not run" not in head
    assert "| train | no job: the machine that ran dvc | " in text
    assert "| train.seed | 1 | 5 |" in text.partition(DETAILS)[2]
    assert not re.search(r"(PAT|SCAN)-\d", text)
    shown = re.findall(r"\(https://host/raw/1/([\w.-]+)\)", text)
    assert sorted(shown) == sorted(path.name for path in folder.iterdir())
    assert {"a-training.svg", "b-training.svg", "a-confusion.svg", "b-confusion.svg"} <= set(shown)
    for path in folder.iterdir():
        ElementTree.parse(path)
    assert (folder / "a-confusion.svg").read_text() != (folder / "b-confusion.svg").read_text()


def test_it_is_as_long_as_asked_for(linked: Project, lineage: Lineage) -> None:
    whole = report(lineage, linked, FIRST, SECOND)
    short = report(lineage, linked, FIRST, SECOND, "--longest", str(len(whole) - 300))
    assert len(short) <= len(whole) - 300
    assert f"is left out, for its length: `lineage diff {FIRST} {SECOND}` shows all of it." in short
    assert short.partition(DETAILS)[0] == whole.partition(DETAILS)[0]
    assert "\n</details>\n" in short


def test_beside_a_commit_without_a_model(linked: Project, lineage: Lineage) -> None:
    text = report(lineage, linked, linked.commit_of("Begin from the template"), "HEAD")
    assert "- Verify: **PASS** models:/traceable-digits/2: " in text
    assert "- Accuracy: not to be compared, there are no predictions of both" in text
    assert re.search(r"- Drift: unknown: dvc\.lock of \w+ records no dataset version", text)


def test_what_is_wrong_is_counted_and_what_has_not_run_is_named(project: Project, lineage: Lineage) -> None:
    project.compose("train=debug", "train.seed=6")
    project.commit("Not run")
    project.object(project.out("evaluate", "data/predictions.parquet")).unlink()
    project.cached(project.out("evaluate", "data/predictions.parquet")).unlink()
    project.sql("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", training_of(project))
    text = report(lineage, project, "HEAD~2", "HEAD", code=1)
    assert "- Verify: **FAIL** models:/traceable-digits/2: " in text
    assert re.search(r"\| models:/traceable-digits/2 \| DVC remote \| FAIL \| \d+ \|", text)
    assert "`lineage verify models:/traceable-digits/2` says what is wrong." in text
    assert "- **Not run** with what the commit holds: " in text
    assert "- train: train.seed is 6, it ran with 5" in text
    assert "All that is said here is about the model of the last run." in text
    assert "- Slices: unknown: " in text
    assert "- Cost of jobs: unknown; what train took is in no finished run in MLflow" in text
    assert "\n### Not run\n" in text


def training_of(project: Project) -> str:
    """The run that trained what lies here."""
    run = json.loads(project.object(project.out("train", "models/run.json")).read_text())
    return str(run["run_id"])


def test_what_bears_an_id_is_left_out_and_counted(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    known = pq.read_table(project.object(manifest(project)))["subject_id"][0].as_py()
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("title: F1 by class", f"title: How well it does without {known}"))
    project.commit(f"Look at {known} again")
    given = ("--pictures", str(tmp_path / "pictures"))
    text = report(lineage, project, "HEAD~2", "HEAD", *given)
    shown = {path.name: path.read_text() for path in (tmp_path / "pictures").iterdir()}
    assert known not in "\n".join([text, *shown, *shown.values()])
    assert "b-classes.svg" not in shown
    assert "b-confusion.svg" in shown
    assert "- 1 picture is left out: the id of a record or a subject is in it. Rename what bears it: " in text
    assert re.search(r"\n\d lines are left out: the id of a record or a subject is in them\.", text)
    assert "- Verify: **PASS** models:/traceable-digits/2: " in text
    assert "| train.seed | 1 | 5 |" in text

    # what cannot be searched is not said
    md5 = manifest(project)
    for path in (project.object(md5), project.cached(md5)):
        path.unlink()
    text = report(lineage, project, "HEAD~2", "HEAD", *given, code=1)
    assert "- Verify: **FAIL** models:/traceable-digits/2: " in text
    assert "Nothing else is said, for it could not be searched for ids of records and subjects: " in text
    assert "train.seed" not in text
    assert known not in text


def test_a_store_that_is_on_another_machine(project: Project, lineage: Lineage) -> None:
    (project.root / "mlflow.db").unlink()
    text = report(lineage, project, "HEAD~1", "HEAD")
    assert "- Verify: **PASS** lineage.json: what Git and DVC record of this model agrees; MLflow's store is" in text
    assert "- Cost of jobs: unknown: there is no MLflow store at " in text


def test_a_server_that_does_not_answer_is_no_proof(project: Project, lineage: Lineage) -> None:
    project.compose("train=debug", "train.seed=5", "train.weight_decay=1e-5", "tracking.uri=http://127.0.0.1:9")
    project.commit("A server")
    project.environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    text = report(lineage, project, "HEAD~2", "HEAD", code=2)
    assert "- Verify: **INCONCLUSIVE** lineage.json: " in text
    assert "- Cost of jobs: unknown: " in text


def test_what_names_nothing_is_inconclusive(linked: Project, lineage: Lineage) -> None:
    status, output = lineage.ask(linked, "report", "no-such-branch")
    assert (status, "INCONCLUSIVE: 'no-such-branch' is no model version" in output) == (2, True)
