"""The page of all names in MLflow: tags as the project's own page lists them, parameters from dvc.yaml, and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .table import table

HEAD = """# Names in MLflow

Every name that a project writes into MLflow: for queries, dashboards, and whoever reads a store after years. What the
names mean together, and what `verify` compares, is in [MLflow](../how-to/mlflow.md). The template's tests run a
pipeline and fail where the store holds a name that is not here.
"""
# MLflow's own, which it or the interface of MLflow makes something of
OWN = {
    "mlflow.runName": ("runs", "the stage, and the experiment if it is one"),
    "mlflow.parentRunId": ("`evaluate` and `register` runs", "the training run, if it is in the same store"),
    "mlflow.note.content": ("where somebody wrote one", "a description, which MLflow keeps as a tag"),
}
SPLITS = ("train", "val", "test")
METRICS = {
    **{f"{split}_records": ("preprocess", f"records of the split {split}") for split in SPLITS},
    **{f"{split}_subjects": ("preprocess", f"subjects of the split {split}") for split in SPLITS},
    "duplicate_records": ("preprocess", "records that have the image of another, beyond the first"),
    "duplicates_across_splits": ("preprocess", "images that are in more than one split"),
    "duplicates_across_labels": ("preprocess", "images that have more than one label"),
    "near_duplicate_pairs": ("preprocess, with `data.near_duplicates`", "pairs of images that look alike"),
    "near_duplicates_across_splits": ("preprocess, with `data.near_duplicates`", "those of them in two splits"),
    "skipped_records": (
        "preprocess, with `data.on_bad_record=skip`",
        "records left out, as their image cannot be used",
    ),
    "left_out_records": ("preprocess, with `privacy=registry`", "records of subjects who may not be used"),
    "left_out_subjects_revoked": ("preprocess, with `privacy=registry`", "subjects who revoked their consent"),
    "left_out_subjects_unlisted": ("preprocess, with `privacy=registry`", "subjects whom the registry does not list"),
    "train_loss": ("train, by epoch", "loss on the training split"),
    "val_loss": ("train, by epoch; then of the best epoch", "loss on the validation split"),
    "val_accuracy": ("train, by epoch; then of the best epoch", "share of right answers on the validation split"),
    "best_epoch": ("train", "the epoch whose weights were kept, from 1"),
    "test_accuracy": ("evaluate", "share of right answers"),
    "test_accuracy_low": ("evaluate", "lower end of its 95% interval, with subjects as units"),
    "test_accuracy_high": ("evaluate", "upper end of its 95% interval"),
    "test_f1_macro": ("evaluate", "mean of F1 over the classes that the test split has"),
    "test_loss": ("evaluate", "mean of the negative logarithm of the probability of the truth"),
    "test_records": ("preprocess, evaluate", "records of the test split"),
    "test_subjects": ("preprocess, evaluate", "subjects of the test split"),
    "test_slices_COLUMN=VALUE_SCORE": ("evaluate, with `evaluate.slices`", "a score of one slice"),
    "test_worst_slice_accuracy": ("evaluate, with `evaluate.slices`", "share of right answers in the worst slice"),
}
TEST_SCORES = (
    "The scores that begin with `test_` and are of `evaluate` stand on the training run too, once `lineage link` knows "
    "the result commit, and on the logged model, with the dataset version that they are of."
)
WITH_RUNS = ("preprocess", "train", "evaluate", "register")


def page(root: Path) -> str:
    tags = [(", ".join(f"`{name}`" for name in names), where, what) for names, where, what in tag_rows(root)]
    own = [(f"`{name}`", where, what) for name, (where, what) in OWN.items()]
    metrics = [(f"`{name}`", where, what) for name, (where, what) in METRICS.items()]
    params = params_of(root)
    shown = [
        (f"`{key}`", *("yes" if key in params[stage] else "" for stage in WITH_RUNS))
        for key in sorted({key for keys in params.values() for key in keys})
    ]
    return "\n\n".join(
        [
            HEAD.rstrip(),
            "## Tags",
            table(("name", "where", "what it holds"), [*tags, *own]),
            "## Parameters",
            "A run has the settings that its stage and those upstream of it depend on, each under its dotted key "
            "([all settings](settings.md)), and `data_git_commit_id` where the dataset was committed before the run. "
            "`yes` stands for the key and all keys below it.",
            table(("key", *(f"run of {stage}" for stage in WITH_RUNS)), shown),
            "## Metrics",
            TEST_SCORES,
            table(("name", "run of", "what it is"), metrics),
        ]
    )


def tag_rows(root: Path) -> Iterator[tuple[list[str], str, str]]:
    """The rows of the table in the project's docs/mlflow.md: names, where they are, what they hold."""
    text = (root / "docs" / "mlflow.md").read_text(encoding="utf-8")
    section = text.partition("\n## Tags\n")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| (`.+) \|$", section, re.MULTILINE):
        named, where, what = re.split(r"(?<!\\) \| ", line, maxsplit=2)
        names = re.findall(r"`([^`]+)`", named)
        whole = [name.replace("…", names[0].split("_")[0]) for name in names if not name.startswith("_")]
        yield whole, linked(where), linked(what)


def linked(text: str) -> str:
    """Links of a page of the project, as they are from here."""
    return re.sub(r"\]\(([a-z-]+\.md)", r"](../how-to/\1", text)


def params_of(root: Path) -> dict[str, set[str]]:
    """The keys of settings, as dvc.yaml names them, that the run of each stage has."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    plain: dict[str, Any] = {name: stage.get("do", stage) for name, stage in stages.items()}
    maker = {path: name for name, stage in plain.items() for path in map(path_of, stage.get("outs", []))}

    def keys(name: str) -> set[str]:
        above = {maker[dep] for dep in plain[name].get("deps", []) if dep in maker}
        own = {key for key in plain[name].get("params", []) if isinstance(key, str)}
        return own.union(*map(keys, above))

    return {name: keys(name) for name in WITH_RUNS}


def path_of(out: Any) -> str:
    return out if isinstance(out, str) else next(iter(out))
