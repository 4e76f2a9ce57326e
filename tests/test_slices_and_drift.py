"""A scanner that brightens its images: its slice is the worst, its images are drift, and both are seen in time."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from baked import Project, bake, remove_hooks, use_perceptron
from command import Lineage
from PIL import Image

DARK, SPOT = 80, 60  # of an image; what is sick is brighter on the left, what is well on the right
FIRST, SECOND = "models:/traceable-digits/1", "models:/traceable-digits/2"
REFERENCE = "reference/profile.json"
# image, channels and slices; few records of the new scanner are in train
SETTINGS = (
    "data=image_folder",
    "data.source.table=records.csv",
    "data.columns=[scanner,site]",
    "data.missing_value=unknown",
    "data.image.size=8",
    "data.image.channels=1",
    "data.split={train:0.4,val:0.1,test:0.5}",
    "evaluate.slices=[scanner,site]",
)


def scans(folder: Path, count: int, scanner: str, first: int, brighter: int = 0) -> list[str]:
    """Images of two classes by one scanner, two of each person. Returns the lines of the table.

    A scanner that makes them `brighter` by much leaves little of what tells the classes apart: white is white.
    """
    lines = []
    for number in range(first, first + count):
        label = ("sick", "well")[number % 2]
        noise = np.random.default_rng(number).normal(DARK + brighter, 12, (24, 32))
        noise[:, :16] += SPOT * (label == "sick")
        noise[:, 16:] += SPOT * (label == "well")
        buffer = io.BytesIO()
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
        (folder / f"{number}.png").write_bytes(buffer.getvalue())
        site = "" if number % 7 == 0 else ("north", "south")[number % 3 == 0]
        lines.append(f"SCAN-{number:04d},PAT-{number // 2:04d},{label},{number}.png,{scanner},{site}")
    return lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scans of scanner A, with their table."""
    folder = tmp_path_factory.mktemp("scans")
    header = "record_id,subject_id,label,path,scanner,site"
    (folder / "records.csv").write_text("\n".join([header, *scans(folder, 240, "A", 0)]) + "\n")
    return folder


@pytest.fixture(scope="module")
def project(installed: Project, folder: Path, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A model of scanner A; then come the scans of scanner B, the profile of A's is made the reference."""
    root = bake(tmp_path_factory.mktemp("scanners"))
    use_perceptron(root)
    remove_hooks(root)
    project = Project(root, installed.venv, installed.environment)
    project.compose(*SETTINGS, f"data.source.path='{folder}'")
    project.dvc("repro")
    project.commit("Scanner A")
    lineage(project, "drift", FIRST, "--save", REFERENCE)
    with (folder / "records.csv").open("a") as table:
        table.write("\n".join(scans(folder, 80, "B", 1000, brighter=180)) + "\n")
    return project


def judged(project: Project, folder: Path, on_drift: str) -> None:
    """Composes settings under which new data are held against the reference."""
    project.compose(
        *SETTINGS, f"data.source.path='{folder}'", f"data.drift.against={REFERENCE}", f"data.drift.on_drift={on_drift}"
    )


def test_a_column_is_in_manifest_profile_and_predictions(project: Project) -> None:
    data = project.root / "data"
    assert pq.read_schema(data / "processed" / "manifest.parquet").names[-2:] == ["scanner", "site"]
    profile = json.loads((data / "profile.json").read_text())
    assert all(each["columns"]["scanner"].keys() == {"A"} for each in profile["splits"].values())
    assert "unknown" in profile["splits"]["train"]["columns"]["site"]
    assert "PAT-" not in (data / "profile.json").read_text()
    assert pq.read_schema(data / "predictions.parquet").names[-2:] == ["scanner", "site"]


def test_new_data_stop_the_pipeline_before_anybody_trains_on_them(
    project: Project, folder: Path, lineage: Lineage
) -> None:
    judged(project, folder, "stop")
    said = project.dvc("repro", code=None)
    assert "preprocess: drift in" in said
    assert "brightness" in said
    assert "Running stage 'train'" not in said
    assert not (project.root / "data" / "processed").exists()
    judged(project, folder, "warn")
    said = project.dvc("repro")
    assert "warning: data.drift: drift in" in said
    assert "worst slice: scanner B" in said
    project.commit("Scanners A and B")

    scores = json.loads((project.root / "metrics" / "test.json").read_text())["test"]
    assert scores["worst_slice"] == "scanner:B"
    worst, best = (scores["slices"][f"scanner:{name}"] for name in "BA")
    assert worst["high"] < best["low"]
    assert worst["records"] + best["records"] == scores["records"]
    assert "test.slices.scanner:B.accuracy" in project.dvc("metrics", "show", "--md")
    with (project.root / "plots" / "slices.csv").open() as file:
        assert {"scanner=A", "scanner=B"} < {row["slice"] for row in csv.DictReader(file)}
    (run,) = [run for run in project.store().runs("evaluate") if "test_slices_scanner:B_accuracy" in run.data.metrics]
    assert run.data.metrics["test_slices_scanner:B_accuracy"] == worst["accuracy"]
    assert any("profile.json" in project.store().artifacts(run) for run in project.store().runs("preprocess"))
    proof = lineage.verify(project, SECOND)
    assert proof.link("metrics")["state"] == "PASS"
    assert proof.not_passed.keys() <= {"DVC remote", "result commit"}  # nothing was pushed


def test_what_drifted_is_named_with_both_histograms(project: Project, folder: Path, lineage: Lineage) -> None:
    status, said = lineage.ask(project, "drift", FIRST, SECOND)
    assert status == 1
    assert "█" in said
    assert "scanner, new: B" in said
    status, said = lineage.ask(project, "drift", FIRST, "--json")
    answer = json.loads(said)
    assert status == 1
    assert {each["name"] for each in answer["features"] if each["drifted"]} >= {"brightness", "scanner"}
    assert lineage.ask(project, "drift", SECOND)[0] == 0
    assert lineage.ask(project, "drift", FIRST, REFERENCE)[0] == 0
    assert lineage.ask(project, "drift", SECOND, "--data", "data/raw")[0] == 0
    assert lineage.ask(project, "drift", FIRST, "--data", str(folder / "records.csv"))[0] == 1


def test_a_report_counts_both_and_names_no_value(project: Project, lineage: Lineage) -> None:
    _, said, _ = lineage.run(project, "report", FIRST, SECOND)
    assert "- Drift: drift in " in said
    assert re.search(r"\| brightness \| \d+\.\d+ \| .* \| drifted \|", said)
    assert "- Slices: 2 (scanner, site)" in said
    assert re.search(r"\| scanner B \| 0\.\d+ \| \d+ \| \d+ \| unknown \|", said)  # the first model never saw one
    assert re.search(r"\| scanner A \| 1\.000 \| \d+ \| \d+ \| .* -\\> .* \|", said)
    assert not re.search(r"(PAT|SCAN)-\d", said)


def test_what_cannot_be_said_is_inconclusive(project: Project, tmp_path: Path, lineage: Lineage) -> None:
    scans(tmp_path, 10, "A", 5000)
    status, said = lineage.ask(project, "drift", FIRST, "--data", str(tmp_path))
    assert status == 2
    assert "INCONCLUSIVE: the other side has 10 records" in said
    for asked in ("models:/traceable-digits/9", "no such thing"):
        status, said = lineage.ask(project, "drift", asked)
        assert status == 2
        assert "INCONCLUSIVE" in said


def test_the_profile_goes_along_with_the_version(project: Project) -> None:
    files = {file["path"].split("/")[-1] for file in project.lineage["artifact"]["files"]}
    assert "profile.json" in files
