"""Plots of dvc.yaml as pictures."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lineage.dvc.dvcfile import read_pipeline
from lineage.run.pictures import pictures, pictures_of

DVC_YAML = """
plots:
  - Loss by epoch:
      x: epoch
      y:
        plots/training.csv: [train_loss, val_loss]
  - Two tables:
      x: epoch
      y:
        plots/training.csv: train_loss
        plots/other.csv: train_loss
stages:
  train:
    cmd: "true"
    plots:
      - plots/training.csv: {x: epoch, y: val_accuracy, title: Accuracy}
  evaluate:
    cmd: "true"
    metrics:
      - metrics/test.json
    plots:
      - plots/confusion.csv: {template: confusion, x: actual, y: predicted, title: 'A < B'}
      - plots/classes.csv: {template: bar_horizontal, x: f1, y: class}
      - plots/own.csv: {template: own, x: f1, y: class}
      - plots/unset.csv
"""
TRAINING = [
    {"epoch": 1, "train_loss": 2.0, "val_loss": 2.5, "val_accuracy": 0.5},
    {"epoch": 2, "train_loss": 1.0, "val_loss": float("nan"), "val_accuracy": 0.5},
    {"epoch": 3, "train_loss": 0.5, "val_loss": 1.0, "val_accuracy": 0.5},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "plots").mkdir()
    write(tmp_path, "training", TRAINING)
    write(tmp_path, "confusion", [{"actual": a, "predicted": p} for a, p in ("aa", "aa", "ab", "<<", "ba")])
    write(tmp_path, "classes", [{"class": "a", "f1": 0.5}, {"class": "<", "f1": 1.0}])
    write(tmp_path, "own", [{"class": "a", "f1": 0.5}])
    write(tmp_path, "unset", [{"class": "a", "f1": 0.5}])
    return tmp_path


def write(root: Path, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    with (root / "plots" / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw(root: Path, stage: str) -> dict[str, str]:
    return pictures(root, read_pipeline(root).stages[stage])


def texts(picture: str) -> list[str]:
    return [str(element.text) for element in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def test_training_and_validation_loss_are_in_one_picture(root: Path) -> None:
    drawn = draw(root, "train")
    assert list(drawn) == ["training.svg", "training-1.svg"]
    assert {"Loss by epoch", "train_loss", "val_loss", "epoch"} <= {*texts(drawn["training.svg"])}
    assert drawn["training.svg"].count("<polyline") == 2
    # what is no number is left out of the line
    assert [points.count(",") for points in re.findall('points="(.*?)"', drawn["training.svg"])] == [3, 2]
    assert {"Accuracy", "val_accuracy"} <= {*texts(drawn["training-1.svg"])}


def test_a_confusion_matrix_counts_each_pair(root: Path) -> None:
    drawn = draw(root, "evaluate")
    assert list(drawn) == ["confusion.svg", "classes.svg"]  # no picture of a template of one's own
    shown = texts(drawn["confusion.svg"])
    assert [text for text in shown if text.isdigit()] == ["1", "2", "1", "1"]
    assert drawn["confusion.svg"].count("<rect") == 1 + 9
    assert {"A < B", "<", "actual", "predicted"} <= {*shown}
    assert [text for text in texts(drawn["classes.svg"]) if text.startswith(("0", "1"))] == ["0.5", "1"]


def test_what_is_no_picture_is_left_out(root: Path) -> None:
    many = [{"actual": str(number), "predicted": "x"} for number in range(100)]
    write(root, "confusion", many)
    write(root, "classes", [{"class": "a", "f1": "none"}])
    assert draw(root, "evaluate") == {}
    write(root, "classes", [{"class": "a", "recall": 1.0}])
    (root / "plots" / "confusion.csv").write_text("actual,predicted\n")
    assert draw(root, "evaluate") == {}


def test_the_words_of_a_picture_are_whole_and_rows_can_be_left_out(root: Path) -> None:
    stage = read_pipeline(root).stages["evaluate"]
    rows = "class,f1\nPAT-00023-of-the-first-site,0.5\nb,1.0\n"
    tables = {"plots/classes.csv": rows, "plots/confusion.csv": "actual,predicted\nx,y\n"}
    found = pictures_of(DVC_YAML, stage, tables.get)
    assert found["classes.svg"].words == {"plots/classes.csv", "f1", "class", "PAT-00023-of-the-first-site", "b"}
    assert "PAT-00023-of-th\N{HORIZONTAL ELLIPSIS}" in found["classes.svg"].svg
    assert {"x", "y", "A < B"} <= found["confusion.svg"].words
    assert found["confusion.svg"].svg == pictures_of(DVC_YAML, stage, tables.get)["confusion.svg"].svg
    found = pictures_of(DVC_YAML, stage, tables.get, lambda row: row.get("class") != "b")
    assert ">b<" not in found["classes.svg"].svg
    assert "b" not in found["classes.svg"].words
