"""`dvc repro` with the default settings: what came out, by DVC's, Git's and MLflow's own word."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from baked import Project, Store


@pytest.fixture(scope="module")
def baseline(default: Project) -> Project:
    """As it is baked, and with torch: also for what asks for a clone of it."""
    return default


@pytest.fixture(scope="module")
def store(baseline: Project) -> Store:
    return baseline.store()


@pytest.fixture(scope="module")
def training(store: Store) -> Any:
    return store.runs("train")[0]


@pytest.fixture(scope="module")
def version(store: Store) -> Any:
    return store.versions()[0]


def test_composing_a_fresh_bake_changes_no_byte_of_params(baseline: Project, tmp_path: Path) -> None:
    composed = Project(tmp_path / "copy", baseline.venv, baseline.environment)
    subprocess.run(["git", "clone", "--quiet", str(baseline.root), str(composed.root)], check=True)
    assert "values changed: 0" in composed.compose()
    assert composed.git("status", "--porcelain") == ""


def test_the_model_is_good(baseline: Project) -> None:
    scores = json.loads((baseline.root / "metrics" / "test.json").read_text())["test"]
    assert scores["accuracy"] >= 0.97
    assert scores["records"] > 100


def test_a_second_repro_does_nothing(baseline: Project, shared: Path) -> None:
    output = baseline.dvc("repro")
    assert "Running stage" not in output
    assert "up to date" in output
    assert "Running stage 'train'" in (shared / "default.log").read_text()
    assert baseline.git("status", "--porcelain") == ""


def test_after_a_pull_a_second_clone_is_idle_as_well(clone: Callable[[str], Project]) -> None:
    second = clone("second")
    assert "Running stage" not in second.dvc("repro")
    assert second.dvc("status").strip() == "Data and pipelines are up to date."
    assert second.git("status", "--porcelain") == ""
    assert not (second.root / "mlflow.db").exists()


def test_hashes_in_mlflow_are_those_of_dvc(baseline: Project, training: Any, version: Any) -> None:
    expected = {
        "dvc_raw_md5": baseline.out("fetch", "data/raw"),
        "dvc_data_md5": baseline.out("preprocess", "data/processed"),
        "dvc_model_md5": baseline.out("train", "models/model.safetensors"),
    }
    reported = {
        f"{folder}/{item['path']}": item["md5"]
        for folder in ("data", "models")
        for item in json.loads(baseline.dvc("ls", ".", folder, "--dvc-only", "--json", "--show-hash"))
    }
    assert list(expected.values()) == [
        reported[path] for path in ("data/raw", "data/processed", "models/model.safetensors")
    ]
    for tags in (training.data.tags, version.tags):
        assert {name: tags[name] for name in expected} == expected


def test_the_training_run_says_where_it_started(baseline: Project, training: Any) -> None:
    first = baseline.git("rev-list", "--max-parents=0", "HEAD")
    tags = training.data.tags
    assert tags["mlflow.source.git.commit"] == first
    assert tags["git_dirty"] == "false"
    assert tags["git_branch"] == "main"
    assert tags["project_id"] == baseline.params["project_id"]
    assert tags["dvc_stage"] == "train"
    assert tags["lineage_status"] == "pending"
    assert "dvc_exp_name" not in tags
    # the dataset was made in the same run, so no commit could hold it yet
    assert "data_git_commit_id" not in training.data.params


def test_each_stage_has_a_finished_run_and_later_ones_are_children_of_training(store: Store, training: Any) -> None:
    for stage in ("preprocess", "train", "evaluate", "register"):
        (run,) = store.runs(stage)
        assert run.info.status == "FINISHED"
        parent = run.data.tags.get("mlflow.parentRunId")
        assert parent == (training.info.run_id if stage in {"evaluate", "register"} else None)
    assert store.runs("config") == store.runs("fetch") == []


def test_parameters_are_those_of_dvc_lock(baseline: Project, training: Any) -> None:
    def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in tree.items():
            found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)})
        return found

    locked = {}
    for stage in ("fetch", "preprocess", "train"):
        locked.update(flat(baseline.lock[stage]["params"]["params.yaml"]))
    assert training.data.params == locked


def test_epochs_and_plots_are_logged(baseline: Project, store: Store, training: Any) -> None:
    history = store.client.get_metric_history(training.info.run_id, "val_accuracy")
    assert {metric.step for metric in history} >= set(range(1, baseline.params["train"]["epochs"] + 1))
    assert "plots/training.csv" in store.artifacts(training, "plots")
    (evaluation,) = store.runs("evaluate")
    assert evaluation.data.metrics["test_accuracy"] >= 0.97
    assert {"plots/confusion.csv", "plots/classes.csv"} <= set(store.artifacts(evaluation, "plots"))


def test_what_the_model_said_of_each_test_record_is_kept(baseline: Project) -> None:
    table = pq.read_table(baseline.root / "data" / "predictions.parquet")
    manifest = pq.read_table(baseline.root / "data" / "processed" / "manifest.parquet")
    columns = ["record_id", "subject_id", "label"]
    expected = manifest.filter(pc.equal(manifest["split"], "test")).select(columns).to_pylist()
    assert table.select(columns).to_pylist() == expected
    classes = json.loads(table.schema.metadata[b"classes"])
    said = [classes[max(range(len(row)), key=row.__getitem__)] for row in table["probabilities"].to_pylist()]
    right = [guess == label for guess, label in zip(said, table["label"].to_pylist(), strict=True)]
    scores = json.loads((baseline.root / "metrics" / "test.json").read_text())["test"]
    assert sum(right) / len(right) == pytest.approx(scores["accuracy"])
    named = {output["path"]: output["md5"] for output in baseline.lineage["outputs"]}
    assert named["data/predictions.parquet"] == baseline.out("evaluate", "data/predictions.parquet")


def test_the_dataset_is_an_input_by_its_dvc_hash(baseline: Project, training: Any) -> None:
    (dataset,) = training.inputs.dataset_inputs
    assert dataset.dataset.digest == baseline.out("preprocess", "data/processed")


def test_manifest_and_packages_are_kept_with_the_run(baseline: Project, store: Store, training: Any) -> None:
    assert {"manifest.parquet", "packages.txt", "run.json"} <= set(store.artifacts(training))
    manifest = store.client.download_artifacts(training.info.run_id, "manifest.parquet")
    assert Path(manifest).read_bytes() == (baseline.root / "data/processed/manifest.parquet").read_bytes()
    packages = Path(store.client.download_artifacts(training.info.run_id, "packages.txt")).read_text()
    assert "\ntorch==" in packages


def test_the_environment_is_the_lock(baseline: Project, training: Any) -> None:
    (lock,) = [dep["md5"] for dep in baseline.lock["train"]["deps"] if dep["path"] == "requirements.lock"]
    assert training.data.tags["environment_md5"] == lock


def test_runs_and_artifacts_lie_in_the_projects_own_store(baseline: Project, training: Any, version: Any) -> None:
    assert training.info.artifact_uri.startswith((baseline.root / "mlartifacts").as_uri())
    assert version.run_id == training.info.run_id


def test_lineage_json_holds_the_chain(baseline: Project, version: Any, training: Any) -> None:
    lineage = baseline.lineage
    assert lineage["model"]["version"] == str(version.version)
    assert lineage["model"]["identity"] == version.tags["model_identity"]
    assert lineage["model"]["md5"] == baseline.out("train", "models/model.safetensors")
    assert lineage["dataset"]["md5"] == baseline.out("preprocess", "data/processed")
    assert lineage["raw"]["md5"] == baseline.out("fetch", "data/raw")
    assert lineage["training_run"]["run_id"] == training.info.run_id
    assert version.tags["data_sha256"] == lineage["dataset"]["sha256"] == training.data.tags["data_sha256"]
    assert str(baseline.root) not in json.dumps(lineage)
    text = (baseline.root / "lineage.json").read_text()
    assert baseline.git("show", "HEAD:lineage.json") == text.strip()
    assert len(text.splitlines()) < 400  # for a review: a line for each file that it lists


def test_the_registered_model_takes_image_bytes_and_gives_probabilities(baseline: Project, store: Store) -> None:
    import mlflow
    from PIL import Image

    model = mlflow.pyfunc.load_model("models:/traceable-digits@candidate")
    buffers = {}
    for kind in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        Image.new("RGB", (20, 30), (200, 10, 90)).save(buffer, kind)
        buffers[kind] = buffer.getvalue()
    answer = model.predict(pd.DataFrame({"image": list(buffers.values())}))
    assert list(answer.columns) == [str(digit) for digit in range(10)]
    assert answer.sum(axis=1).to_numpy() == pytest.approx([1, 1], abs=1e-6)
    assert model.metadata.signature.inputs.input_names() == ["image"]
    requirements = Path(mlflow.artifacts.download_artifacts("models:/traceable-digits@candidate")) / "requirements.txt"
    lines = [line for line in requirements.read_text().split() if line]
    assert all("==" in line for line in lines)
    assert {line.partition("==")[0] for line in lines} >= {"torch", "mlflow", "safetensors", "pillow"}


def test_the_registered_model_loads_where_only_its_requirements_are_installed(
    baseline: Project, store: Store, tmp_path: Path
) -> None:
    import mlflow

    model = Path(mlflow.artifacts.download_artifacts("models:/traceable-digits@candidate", dst_path=str(tmp_path)))
    script = baseline.root / "scripts" / "environment.py"
    venv, needed = tmp_path / "venv", model / "requirements.txt"
    baseline.run("python", str(script), "--venv", str(venv), "--requirements", str(needed), cwd=tmp_path)
    code = (
        "import mlflow, sys; model = mlflow.pyfunc.load_model(sys.argv[1]); "
        "print('rows:', model.predict(model.input_example).shape)"
    )
    bare = Project(tmp_path, venv, baseline.environment)
    assert "rows: (2, 10)" in bare.run("python", "-c", code, str(model))


def test_the_input_example_is_nobodys_record(baseline: Project) -> None:
    import hashlib

    import mlflow
    import pyarrow.parquet as pq

    known = set(pq.read_table(baseline.root / "data/processed/manifest.parquet")["content_sha256"].to_pylist())
    baseline.store()
    model = mlflow.pyfunc.load_model("models:/traceable-digits@candidate")
    example = model.input_example
    assert len(example) > 0
    for image in example["image"]:
        data = image if isinstance(image, bytes) else image.encode()
        assert hashlib.sha256(data).hexdigest() not in known


def test_dvc_metrics_and_plots_are_worth_reading(baseline: Project, tmp_path: Path) -> None:
    metrics = json.loads(baseline.dvc("metrics", "show", "--json"))
    values = metrics[""]["data"]
    assert values["metrics/test.json"]["data"]["test"]["accuracy"] >= 0.97
    assert "best_epoch" in values["metrics/train.json"]["data"]
    baseline.dvc("plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots" / "index.html").read_text()
    for title in (
        "Loss by epoch",
        "Validation accuracy by epoch",
        "Confusion matrix of the test split",
        "F1 by class",
        "by slice",
    ):
        assert title in page
    assert "<script src" not in page
    assert "default-src 'none'" in page  # nor may anything in it ask the network
    assert {"train_loss", "val_loss"} <= {*re.findall(r'"field": "(\w+)"', page)}
    if chromium := shutil.which("chromium"):
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom")
        profile = f"--user-data-dir={tmp_path / 'chromium'}"
        address = (tmp_path / "plots" / "index.html").as_uri()
        drawn = subprocess.run([chromium, *options, profile, address], capture_output=True, text=True, check=True)
        assert drawn.stdout.count("<canvas") == 5


def test_what_a_user_of_mlflow_sees_of_a_version(baseline: Project) -> None:
    import mlflow

    store = baseline.store()
    version, client = store.versions()[-1], store.client
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    scores = {f"test_{key}": value for key, value in baseline.lineage["metrics"]["test"].items()}
    assert {metric.key: metric.value for metric in model.metrics} == scores
    dataset = (baseline.params["data"]["source"]["name"], baseline.lineage["dataset"]["md5"])
    assert {(metric.dataset_name, metric.dataset_digest) for metric in model.metrics} == {dataset}
    best = mlflow.search_logged_models(
        [model.experiment_id],
        filter_string="metrics.test_accuracy > 0.5",
        datasets=[{"dataset_name": dataset[0], "dataset_digest": dataset[1]}],
        output_format="list",
    )
    assert [found.model_id for found in best] == [model.model_id]
    assert scores["test_accuracy_low"] < scores["test_accuracy"] <= scores["test_accuracy_high"]

    described = version.description
    assert described.startswith(f"## Model card: traceable-digits {version.version}\n")
    assert f"| `accuracy` | {scores['test_accuracy']:.4g} | {scores['test_accuracy_low']:.4g} to " in described
    files = {file.path for file in client.list_logged_model_artifacts(model.model_id)}
    assert "model_card.md" in files
    known = pq.read_table(baseline.root / "data/processed/manifest.parquet")
    for column in ("record_id", "subject_id"):
        assert not [name for name in known[column].to_pylist() if name in described]

    pictures = {
        stage: {file.path for file in client.list_artifacts(store.runs(stage)[-1].info.run_id, "pictures")}
        for stage in ("train", "evaluate")
    }
    assert pictures == {
        "train": {"pictures/training.svg", "pictures/training-1.svg"},
        "evaluate": {"pictures/confusion.svg", "pictures/classes.svg", "pictures/slices.svg"},
    }


def test_the_subjects_are_many_and_marked_as_synthetic(baseline: Project) -> None:
    table = pd.read_csv(baseline.root / "data" / "raw" / "subjects.csv")
    assert len(table) >= 300
    assert table["subject_id"].is_unique
    assert set(table["synthetic"]) == {"yes"}


def test_its_own_checks_pass(installed: Project) -> None:
    output = installed.run("pre-commit", "run", "--all-files")
    assert output.count("Passed") == 5, output
    assert installed.git("status", "--porcelain") == ""


def test_its_own_tests_pass(installed: Project) -> None:
    assert "passed" in installed.run("python", "-m", "pytest")


def test_lineage_help_imports_nothing_heavy(installed: Project) -> None:
    code = (
        "import sys; from lineage.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "print('heavy:', sorted({'torch', 'mlflow', 'dvc', 'pandas', 'pyarrow', 'hydra', 'rich'} & set(sys.modules)))"
    )
    output = installed.run("python", "-c", code)
    assert "doctor" in output
    assert "heavy: []" in output
