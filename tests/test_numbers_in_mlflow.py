"""Every name that the manual lists under "What is in MLflow", changed behind MLflow's back."""

from __future__ import annotations

import shutil

from baked import Project
from command import Lineage
from damage import SECOND, run_artifact, training_run

OF_STAGE = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'dvc_stage' AND value = '{}')"
INPUT = "SELECT input_uuid FROM inputs WHERE destination_id = '{run}'"
# the link that finds it, and the statements
CHANGES = {
    "all metrics": (
        "metrics in MLflow",
        ["UPDATE latest_metrics SET value = 0.999", "UPDATE metrics SET value = 0.999"],
    ),
    "the last metrics only": ("metrics in MLflow", ["UPDATE latest_metrics SET value = 0.999 WHERE key = 'val_loss'"]),
    "one epoch": (
        "metrics in MLflow",
        ["UPDATE metrics SET value = 0.1 WHERE key = 'train_loss' AND run_uuid = '{run}'"],
    ),
    "a further epoch": (
        "metrics in MLflow",
        [
            "INSERT INTO metrics SELECT key, 0.01, timestamp, run_uuid, 77, is_nan FROM metrics "
            "WHERE key = 'train_loss' AND run_uuid = '{run}'"
        ],
    ),
    "the test scores": ("metrics in MLflow", ["UPDATE latest_metrics SET value = 1.0 WHERE key = 'test_accuracy'"]),
    "the counts": ("metrics in MLflow", ["UPDATE latest_metrics SET value = 1.0 WHERE key = 'train_records'"]),
    "a parameter of another group": ("parameters in MLflow", ["INSERT INTO params VALUES ('evil.key', '1', '{run}')"]),
    "a parameter of evaluate": (
        "parameters in MLflow",
        [f"UPDATE params SET value = '9' WHERE key = 'train.lr' AND {OF_STAGE.format('evaluate')}"],
    ),
    "a score in the run of training": (
        "metrics in MLflow",
        ["UPDATE latest_metrics SET value = 0.9 WHERE key = 'test_accuracy' AND run_uuid = '{run}'"],
    ),
    "a score beside the registered model": (
        "metrics in MLflow",
        ["UPDATE logged_model_metrics SET metric_value = 0.9 WHERE metric_name = 'test_accuracy'"],
    ),
    "another score beside the registered model, as of a later run": (
        "metrics in MLflow",
        [
            "INSERT INTO logged_model_metrics SELECT model_id, metric_name, metric_timestamp_ms + 1, metric_step, 0.9, "
            "experiment_id, '{run}', dataset_uuid, dataset_name, dataset_digest FROM logged_model_metrics "
            "WHERE metric_name = 'test_accuracy'"
        ],
    ),
    "what a score beside the registered model is about": (
        "metrics in MLflow",
        [f"UPDATE logged_model_metrics SET dataset_digest = '{'0' * 32}.dir'"],
    ),
    "a score in the run of register": (
        "metrics in MLflow",
        [f"UPDATE latest_metrics SET value = 0.9 WHERE key = 'test_accuracy' AND {OF_STAGE.format('register')}"],
    ),
    "a number of the model card": (
        "metrics in MLflow",
        ["UPDATE model_versions SET description = replace(description, '| `accuracy` | ', '| `accuracy` | 0.9')"],
    ),
    "a parameter of the registered model": (
        "parameters in MLflow",
        ["UPDATE logged_model_params SET param_value = '500' WHERE param_key = 'train.epochs'"],
    ),
    "weights that the run did not start from": (
        "training run",
        ["INSERT INTO tags (key, value, run_uuid) VALUES ('pretrained_sha256', 'x', '{run}')"],
    ),
    "weights that the version did not start from": (
        "version",
        [
            "INSERT INTO model_version_tags (key, value, name, version) "
            "VALUES ('pretrained_url', 'http://x', 'traceable-digits', 2)"
        ],
    ),
    "another dataset of another kind": (
        "training run",
        [
            "INSERT INTO datasets SELECT 'x', experiment_id, name, 'abc', 'local', '{{}}', '{{}}', '{{}}' "
            "FROM datasets LIMIT 1",
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step) "
            "VALUES ('y', 'DATASET', 'x', 'RUN', '{run}', 0)",
        ],
    ),
    "the source of the dataset": (
        "training run",
        ["""UPDATE datasets SET dataset_source = replace(dataset_source, '"sha256": "', '"sha256": "0')"""],
    ),
    "what the dataset was for": (
        "training run",
        [f"UPDATE input_tags SET value = 'x' WHERE input_uuid IN ({INPUT})"],
    ),
    "the data commit": ("training run", ["UPDATE tags SET value = '{root}' WHERE key = 'data_git_commit_id'"]),
    "the run of evaluate": (
        "other runs",
        [f"UPDATE tags SET value = '{'0' * 32}' WHERE key = 'dvc_model_md5' AND {OF_STAGE.format('evaluate')}"],
    ),
    "the run of preprocess": (
        "other runs",
        [f"UPDATE tags SET value = '{'0' * 32}' WHERE key = 'dvc_raw_md5' AND {OF_STAGE.format('preprocess')}"],
    ),
}


def test_every_number_is_compared(project: Project, lineage: Lineage) -> None:
    run, store = training_run(project), project.root / "mlflow.db"
    root = project.git("rev-list", "--max-parents=0", "HEAD")
    shutil.copyfile(store, store.with_name("kept.db"))
    found = {}
    for what, (link, statements) in CHANGES.items():
        assert sum(project.sql(statement.format(run=run, root=root)) for statement in statements) > 0, what
        proof = lineage.verify(project, SECOND)
        found[what] = (proof.state, link in proof.not_passed)
        shutil.copyfile(store.with_name("kept.db"), store)
    assert found == dict.fromkeys(CHANGES, ("FAIL", True))


def test_every_logged_file_is_compared(project: Project, lineage: Lineage) -> None:
    files = {
        "packages.txt": "environment",
        "run.json": "training run",
        "metrics/train.json": "training run",
        "plots/training.csv": "training run",
        "manifest.parquet": "dataset",
    }
    for name, link in files.items():
        path = run_artifact(project, name)
        right = path.read_bytes()
        path.write_bytes(right + (b"evil==1.0\n" if name == "packages.txt" else b"\n"))
        assert list(lineage.verify(project, SECOND).not_passed) == [link], name
        path.write_bytes(right)
    assert lineage.verify(project, SECOND).not_passed == {}


def test_numbers_of_ones_own_are_named_and_not_taken_for_proved(project: Project, lineage: Lineage) -> None:
    project.store().client.log_metric(training_run(project), "my_score", 1.0)
    proof = lineage.verify(project, SECOND)
    assert proof.not_passed == {}
    assert "duplicates_across_splits, my_score." in proof.link("metrics in MLflow")["text"]


def test_words_of_ones_own_around_the_card_are_kept_and_a_card_that_was_edited_is_found(
    project: Project, lineage: Lineage
) -> None:
    name, number = SECOND.removeprefix("models:/").split("/")
    client = project.store().client
    card = client.get_model_version(name, number).description
    client.update_model_version(name, number, f"For the night shift only.\n\n{card}\n\nAsk Alice.")
    assert lineage.verify(project, SECOND).not_passed == {}
    client.update_model_version(name, number, "For the night shift only.")
    proof = lineage.verify(project, SECOND)
    assert proof.not_passed == {}
    assert "its description holds no model card" in proof.link("metrics in MLflow")["text"]
    client.update_model_version(name, number, card.replace("- training run:", "- training run, so they say:"))
    proof = lineage.verify(project, SECOND)
    assert (
        "the model card in the description is not that of lineage.json: '- training run, so"
        in (proof.not_passed["metrics in MLflow"])
    )
    client.update_model_version(name, number, f"{card}\n\n## Model card: {name} {number}\n\nRight in all cases.")
    proof = lineage.verify(project, SECOND)
    assert "holds more than one model card" in proof.not_passed["metrics in MLflow"]
    assert f"take the others out of the description of {SECOND}" in proof.output


def test_times_that_contradict_the_commits_prove_nothing(project: Project, lineage: Lineage) -> None:
    year = 365 * 24 * 3600 * 1000
    for sign in ("-", "+"):  # before the commit that it started from, after the commit that holds it
        for table, columns in (("runs", ("start_time", "end_time")), ("model_versions", ("creation_time",))):
            for column in columns:
                assert project.sql(f"UPDATE {table} SET {column} = {column} {sign} {year}") > 0
        proof = lineage.verify(project, SECOND)
        assert (proof.status, list(proof.not_passed)) == (2, ["training run"])
        assert "Nobody can say when it was made" in proof.not_passed["training run"]
        year *= 2
