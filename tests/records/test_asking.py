"""Ids and moments of every kind; records, affected models, copies."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sqlite3
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from auditing import NAME, Ask, dataset, subject, tag_version
from baked import Project
from command import Lineage
from consent import (
    COPIED,
    FIRST,
    ODD,
    OUT,
    PROCESSED,
    SECOND,
    STAYS,
    SUBJECTS,
    UNLISTED,
    Cycle,
    everybody,
    write_registry,
)


@pytest.mark.parametrize("odd", ODD.values())
def test_an_odd_id_is_found(odd: str, cycle: Cycle, excluded: Ask, lineage: Lineage) -> None:
    status, answer = subject(lineage, cycle.project, odd)
    assert status == 0
    assert [use["name"] for use in answer["uses"] if use["kind"] == "version"] == [FIRST, SECOND]
    assert {record["subject_id"] for record in answer["records"]} == {odd}
    answer = excluded(cycle.project, odd)
    assert answer.verdict == "FAILED"
    assert f"{odd} is in {SECOND}" in answer.reasons


def test_an_id_is_found_however_it_is_written(cycle: Cycle, lineage: Lineage) -> None:
    status, answer = subject(lineage, cycle.project, unicodedata.normalize("NFD", ODD[31]))
    assert (status, answer["ids"]) == (0, [ODD[31]])
    assert {record["subject_id"] for record in answer["records"]} == {ODD[31]}


NOBODY = [
    "PAT-00321",
    "pat-00024",
    "PAT-0002_",
    "PAT-%",
    "*",
    "'",
    '"',
    "x' OR '1'='1' --",
    "PAT-00024' UNION SELECT '1",
    "?",
    "$1",
    "Anne Muller",
    "[red]PAT-00024[/red]",
    "x" * 10_000,
    UNLISTED,  # in the raw data, and in no registry and no dataset version
]
IMPOSSIBLE = ["PAT-00024 ", " PAT-00024", "", " ", "PAT-00024\n", "PAT-00024\r", "\u202ePAT-00024"]  # as ids of records


def test_ids_of_nobody_are_inconclusive(cycle: Cycle, excluded: Ask, lineage: Lineage) -> None:
    assert not set(NOBODY) & (set(SUBJECTS) - {UNLISTED})
    answer = excluded(cycle.project, *NOBODY)
    assert answer.verdict == "INCONCLUSIVE"
    assert sorted(answer.document["reasons"]) == sorted(
        f"{nobody!r}: no manifest and no consent registry has ever held this id" for nobody in NOBODY
    )
    for nobody in ("x' OR '1'='1' --", UNLISTED):
        assert excluded(cycle.project, nobody).verdict == "INCONCLUSIVE"
    status, answer = subject(lineage, cycle.project, *NOBODY)
    assert status == 2
    assert answer["unknown_ids"] == sorted(NOBODY)
    assert (answer["uses"], answer["records"]) == ([], [])


@pytest.mark.parametrize("impossible", IMPOSSIBLE)
def test_an_id_that_no_record_can_have_is_refused(impossible: str, cycle: Cycle, lineage: Lineage) -> None:
    for question in (["subject"], ["excluded", "--since", cycle.moment]):
        status, output, errors = lineage.run(cycle.project, "audit", *question, "--json", "--", impossible)
        assert (status, output) == (2, "")
        assert "no record can have it" in errors or "subject_id" in errors


def test_nobody_among_others_spoils_the_answer(cycle: Cycle, excluded: Ask) -> None:
    answer = excluded(cycle.project, OUT, "PAT-00032")  # who is called otherwise
    assert answer.verdict == "INCONCLUSIVE"
    assert "'PAT-00032'" in answer.reasons


def test_who_is_known_to_the_registry_alone_is_excluded(project: Project, excluded: Ask) -> None:
    assert excluded(project, "PAT-77777").verdict == "INCONCLUSIVE"
    write_registry(project, everybody() | {"PAT-77777": "revoked"})
    assert excluded(project, "PAT-77777").verdict == "PASSED"
    (project.root / "consent.csv").unlink()
    assert excluded(project, "PAT-77777").verdict == "INCONCLUSIVE"
    assert excluded(project).verdict == "PASSED"  # a manifest has held this one


def test_ids_from_a_file(cycle: Cycle, lineage: Lineage, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_bytes(f"\ufeff{OUT}\r\n\r\n{ODD[35]}\n{ODD[32]}\n{OUT}".encode())
    status, output, _ = lineage.run(cycle.project, "audit", "subject", STAYS, "--file", str(ids), "--json")
    answer = json.loads(output)
    assert (status, answer["ids"]) == (0, [STAYS, OUT, ODD[35], ODD[32]])
    assert {record["subject_id"] for record in answer["records"]} == set(answer["ids"])
    ids.write_bytes("Müller".encode("latin-1"))
    for path in (ids, tmp_path / "none.txt"):
        status, output, errors = lineage.run(cycle.project, "audit", "subject", "--file", str(path))
        assert (status, output) == (2, "")
        assert f"INCONCLUSIVE: {path} cannot be read" in errors
    assert lineage.run(cycle.project, "audit", "subject")[0] == 2


@pytest.mark.parametrize(
    ("since", "shown"),
    [
        ("2024-01-31", "since 2024-01-31T00:00:00+00:00 (zone UTC)"),
        ("2024-01-31T08:30", "since 2024-01-31T08:30:00+00:00 (zone UTC)"),
        ("2024-01-31T08:30:00Z", "since 2024-01-31T08:30:00+00:00 (zone UTC)"),
        ("2024-01-31T08:30+02:00", "since 2024-01-31T08:30:00+02:00 (zone UTC+02:00)"),
    ],
)
def test_the_zone_of_a_moment_is_printed(since: str, shown: str, cycle: Cycle, lineage: Lineage) -> None:
    output = lineage(cycle.project, "audit", "excluded", OUT, "--since", since, code=1)
    assert f"{shown}: 8 versions and runs on 2 dataset versions, of 2 versions and 6 runs in all" in output


def test_moments_that_cannot_be_meant(cycle: Cycle, lineage: Lineage) -> None:
    status, output, errors = lineage.run(cycle.project, "audit", "excluded", OUT, "--since", "2999-01-01")
    assert (status, output) == (2, "")
    assert "2999-01-01T00:00:00+00:00 lies in the future" in errors
    for text in ("yesterday", "2025-13-01", "01.06.2025", ""):
        status, output, errors = lineage.run(cycle.project, "audit", "excluded", OUT, "--since", text)
        assert (status, output) == (2, "")
        assert "Traceback" not in errors


def test_where_nothing_was_made_nobody_was_excluded(cycle: Cycle, excluded: Ask) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    answer = excluded(cycle.project, since=now)
    assert answer.verdict == "INCONCLUSIVE"
    (reason,) = answer.document["reasons"]
    assert reason.startswith(f"nothing was made since {now[:23]}")


def test_records_of_a_version(cycle: Cycle, lineage: Lineage) -> None:
    project = cycle.project
    for version, md5 in ((FIRST, dataset(project, "1")), (SECOND, dataset(project, "2")), (dataset(project, "1"),) * 2):
        rows = list(csv.DictReader(io.StringIO(lineage(project, "audit", "records", version, "--csv"))))
        assert {row.pop("dataset") for row in rows} == {md5}
        entry = next(entry for entry in project.listing(md5) if entry["relpath"] == "manifest.parquet")
        expected = pq.read_table(project.object(entry["md5"])).to_pylist()
        assert rows == sorted(expected, key=lambda row: (row["subject_id"], row["record_id"]))
        assert (OUT in {row["subject_id"] for row in rows}) == (md5 == dataset(project, "1"))
    text = lineage(project, "audit", "records", SECOND)
    assert f"{SECOND}: {len(rows) - 7} records of 318 subjects in dataset {dataset(project, '2')}" in text
    for split in ("train", "val", "test"):
        assert re.search(rf"^{split} +\d+ +\d+$", text, re.MULTILINE)


def test_affected_names_alias_and_endpoints(project: Project, lineage: Lineage) -> None:
    client = project.store().client
    client.set_registered_model_alias(NAME, "champion", "1")
    tag_version(project, "endpoint", "clinic-a, clinic-b", "1")
    status, output, _ = lineage.run(project, "audit", "affected", "--json")
    document = json.loads(output)
    (found,) = [item for item in document["affected"] if item["use"]["kind"] == "version"]
    assert (status, found["use"]["name"], found["subjects"], found["records"]) == (1, FIRST, [OUT], 7)
    assert found["use"]["endpoints"] == ["clinic-a", "clinic-b"]
    assert found["use"]["aliases"] == ["champion"]
    output = lineage(project, "audit", "affected", code=1)
    assert re.search(rf"{FIRST} +champion +clinic-a, clinic-b +1 +7", output)
    assert "to train without them: dvc repro" in output
    write_registry(project, everybody())
    status, output, _ = lineage.run(project, "audit", "affected", "--json")
    assert (status, json.loads(output)["affected"], json.loads(output)["retrain"]) == (0, [], None)
    (project.root / "consent.csv").unlink()
    status, output, errors = lineage.run(project, "audit", "affected")
    assert (status, output) == (2, "")
    assert "INCONCLUSIVE: the consent registry" in errors


def test_a_copy_of_a_record_under_another_id_is_reported(cycle: Cycle, excluded: Ask, lineage: Lineage) -> None:
    answer = excluded(cycle.project)
    (copied,) = answer.document["copies"]
    assert (answer.verdict, copied["subject_id"], copied["record_id"]) == ("PASSED", COPIED, "SCAN-00024")
    output = lineage(cycle.project, "audit", "excluded", OUT, "--since", cycle.moment)
    assert f"is also record SCAN-00024 of {COPIED} in dataset {dataset(cycle.project, '2')}" in output
    assert excluded(cycle.project, "PAT-00025").document["copies"] == []


def test_audits_leave_everything_as_it_was(project: Project, lineage: Lineage, cycle: Cycle) -> None:
    def state() -> list[Any]:
        with contextlib.closing(sqlite3.connect(project.root / "mlflow.db")) as store:
            dump = list(store.iterdump())
        return [dump, project.git("status", "--porcelain"), project.git("rev-parse", "HEAD")]

    before = state()
    for arguments in (("subject", OUT), ("excluded", OUT, "--since", cycle.moment), ("records", FIRST), ("affected",)):
        lineage(project, "audit", *arguments, code=None)
    assert state() == before
    assert (project.root / PROCESSED / "manifest.parquet").exists()


def test_a_question_of_ones_own_as_the_manual_asks_it(linked: Project, tmp_path: Path) -> None:
    manual = (linked.root / "docs" / "audits.md").read_text()
    script = tmp_path / "label_of.py"
    script.write_text(manual.rpartition("```python\n")[2].partition("```")[0])
    answer = linked.run("python", str(script), "7").splitlines()
    assert [line for line in answer if line.startswith("models:/")] == [
        f"models:/traceable-digits/{number}: 179 of 1797 records" for number in (1, 2)
    ]
