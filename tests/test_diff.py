"""lineage diff: two versions side by side, the workspace, and what cannot be compared any more."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from baked import Project
from command import Lineage

FIRST, SECOND = "models:/traceable-digits/1", "models:/traceable-digits/2"
PREDICTIONS = "data/predictions.parquet"


def sections(lineage: Lineage, project: Project, *sides: str) -> dict[str, Any]:
    return dict(json.loads(lineage(project, "diff", *sides, "--json"))["sections"])


def states(found: dict[str, Any]) -> dict[str, str]:
    return {name: each["state"] for name, each in found.items()}


def right(project: Project, commit: str) -> dict[str, bool]:
    """Whether the model of a commit was right, by record, from the file that its dvc.lock names."""
    text = project.git("show", f"{commit}:dvc.lock")
    md5 = re.search(rf"path: {PREDICTIONS}\n.*\n\s+md5: (\w+)", text)
    assert md5 is not None
    table = pq.read_table(project.object(md5[1]))
    classes = json.loads(table.schema.metadata[b"classes"])
    said = [classes[max(range(10), key=each.__getitem__)] for each in table["probabilities"].to_pylist()]
    return {
        record: guess == label
        for record, guess, label in zip(table["record_id"].to_pylist(), said, table["label"].to_pylist(), strict=True)
    }


def test_two_versions_on_the_same_data(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    found = sections(lineage, linked, FIRST, SECOND)
    assert states(found) == {
        "code": "equal",
        "parameters": "different",
        "environment": "equal",
        "data": "equal",
        "model": "different",
        "metrics": "different",
        "flipped records": "different",
    }
    assert found["parameters"]["changed"]["train.seed"] == [1, 5]
    assert found["parameters"]["changed"]["train.weight_decay"] == [0.01, 1e-5]
    assert [each["subject"] for each in found["code"]["commits"]["only_b"]] == ["Second model"]
    assert found["model"]["identical"] is False
    assert found["model"]["tensors"] == {"added": {}, "removed": {}, "reshaped": {}}
    assert found["model"]["started_from"] == ["random weights", "random weights"]
    before, after = right(linked, "HEAD~1"), right(linked, "HEAD")
    lost = {record for record in before if before[record] and not after[record]}
    assert {each["record_id"] for each in found["flipped records"]["kinds"]["right_to_wrong"]["list"]} == lost
    paired = found["metrics"]["paired"]
    assert paired["records"] == len(before) == 153
    assert paired["overall"]["difference"]["value"] * 153 == sum(after.values()) - sum(before.values())
    assert paired["overall"]["sure"]
    assert all(each["too_small"] == (each["subjects"] < 20) for each in paired["classes"].values())
    assert sum(map(sum, paired["confusion"]["a"])) == 153

    told = lineage(linked, "diff", FIRST, SECOND)
    assert "train.seed: 1 -> 5 (+4)" in told
    assert f"{len(lost)} records from right to wrong" in told
    assert "data  equal: all was compared (both are the same dataset version)" in told
    text = lineage(linked, "diff", "HEAD~1", "models:/traceable-digits@candidate", "--markdown")
    assert not re.search(r"SCAN-\d|PAT-\d", text)

    status, _, errors = lineage.run(
        linked, "diff", FIRST, SECOND, "--html", str(tmp_path / "x.html"), "--export", str(tmp_path / "images")
    )
    assert (status, "written" in errors) == (0, True)
    page = (tmp_path / "x.html").read_text()
    assert (tmp_path / "x.html").stat().st_size < 2e6
    assert "<script" not in page
    assert set(re.findall(r'src="([^"]{11})', page)) == {"data:image/"}
    assert not re.search(r"https?://|@import|url\(", page)
    written = {path.stem for path in (tmp_path / "images" / "right_to_wrong").rglob("*.png")}
    assert written == lost
    assert "is there already" in lineage(linked, "diff", FIRST, SECOND, "--export", str(tmp_path / "images"), code=1)
    lineage(linked, "diff", FIRST, SECOND, "--html", str(tmp_path / "y.html"), "--no-images")
    assert "<img" not in (tmp_path / "y.html").read_text()


def test_a_version_and_itself_are_equal_in_all_that_was_compared(linked: Project, lineage: Lineage) -> None:
    found = sections(lineage, linked, SECOND, "HEAD")
    assert set(states(found).values()) == {"equal"}
    assert found["flipped records"]["compared"] == "153 records of the test splits of both"


def test_what_lies_in_the_workspace_is_told(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    tables = project.root / "traceable_digits" / "tables.py"
    tables.write_text(tables.read_text() + "\n\nONE = 1\n")
    (project.root / "traceable_digits" / "model" / "more.py").write_text("TWO = 2\n")
    found = sections(lineage, project, SECOND)
    changed = {file["path"]: (file["change"], file["stages"]) for file in found["code"]["files"]}
    assert changed == {
        "traceable_digits/tables.py": ("changed", ["train", "evaluate"]),
        "traceable_digits/model/more.py": ("added", ["train", "evaluate", "register"]),
    }
    assert found["code"]["uncommitted"]["files"] == ["traceable_digits/model/more.py", "traceable_digits/tables.py"]
    assert any("train: " in each and "tables.py" in each for each in found["code"]["uncommitted"]["outdated"])
    assert states(found)["model"] == "equal"
    patch = json.loads(lineage(project, "diff", SECOND, "--patch", "--json"))["sections"]["code"]["patch"]
    (tmp_path / "patch").write_text(patch)
    clean = project.clone_without_data(tmp_path / "clean")
    subprocess.run(["git", "apply", str(tmp_path / "patch")], cwd=clean.root, check=True)
    assert (clean.root / "traceable_digits" / "tables.py").read_text() == tables.read_text()
    project.commit("Code after the run")
    (unknown,) = [each for each in sections(lineage, project, SECOND, "HEAD")["code"]["unknown"] if "train: " in each]
    assert "the commit does not hold what ran: train: traceable_digits/model, traceable_digits/tables.py" in unknown
    project.dvc("exp", "save", "--name", "tried", "--force")
    same = sections(lineage, project, "tried", "workspace")
    assert same["code"]["files"] == []


def test_what_cannot_be_read_is_unknown_and_never_equal(project: Project, lineage: Lineage) -> None:
    def lose(md5: str) -> None:
        for path in (project.object(md5), project.cached(md5)):
            path.unlink()

    lose(project.out("evaluate", PREDICTIONS))
    lose(project.out("evaluate", "metrics/test.json"))
    lose(project.out("train", "models/model.safetensors"))
    found = sections(lineage, project, "HEAD", "HEAD")
    assert states(found) | {"metrics": "unknown", "flipped records": "unknown", "model": "unknown"} == states(found)
    unknown = " ".join(found["metrics"]["unknown"])
    assert "which records were right" in unknown
    assert "metrics/test.json" in unknown
    told = lineage(project, "diff", "HEAD", "HEAD")
    assert "flipped records  unknown: no difference was found in what could be compared (nothing)" in told

    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace(f"        predictions: {PREDICTIONS}\n", ""))
    found = sections(lineage, project, FIRST, "workspace")
    assert "it was evaluated before these were kept" in " ".join(found["metrics"]["unknown"])
    assert found["flipped records"]["state"] == "unknown"
    assert {key.partition(": ")[0] for key in found["metrics"]["measured"]} == {"metrics/train.json"}  # not of the lost
    for asked, said in (
        ("nothing", "is no model version"),
        (f"{FIRST}9", "has no"),
        ("data/processed", "leads to 2 models"),
    ):
        assert said in lineage(project, "diff", FIRST, asked, code=1)
