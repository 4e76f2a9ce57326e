"""A copy of a project that benchmarks fill with dataset versions, commits, runs and model versions; and a clock.

Figures are CPU seconds, children included: machines are shared and noisy.
"""

import functools
import hashlib
import importlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

RECORDS, SUBJECTS = 100_000, 10_000
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
EACH = timedelta(hours=16)  # from one dataset version to the next; its runs are spread over it
PARAMS = {f"model.setting_{number:02}": f"value {number}" for number in range(25)}
METRICS = {f"epoch_metric_{number:02}": float(number) for number in range(30)}


class Copy:
    """A copy of the project, with its own cache, remote and store, in a folder of its own."""

    def __init__(self, project, folder):
        self.root = folder / project.name
        self.package = next(project.glob("*/stages/train.py")).parents[1].name
        leave = shutil.ignore_patterns(".venv", "mlartifacts", "mlflow.db", "cache", "tmp", "hooks")
        shutil.copytree(project, self.root, ignore=leave)
        (self.root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {folder}/dvc-remote\n")
        os.chdir(self.root)
        sys.path.insert(0, str(self.root))

    def module(self, name):
        """One of the framework's."""
        return importlib.import_module(f"lineage.{name}")

    def git(self, *arguments, **variables):
        command = ["git", "-c", "user.name=B", "-c", "user.email=b@example.org", *arguments]
        env = {**os.environ, **variables}
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout.strip()


class Dataset:
    """One dataset version: its hash, its manifest, and the commit that records it."""

    def __init__(self, copy, number, files, logged):
        """`files` are those of the dataset version, by path; `logged` what each run logs beside the manifest."""
        hashes = copy.module("dvc.hashes")
        listing = {path: keep(copy, file) for path, file in files.items()}
        self.md5, self.manifest = hashes.md5_of_listing(listing), listing["manifest.parquet"]
        place(copy, self.md5).write_bytes(hashes.listing(listing))
        self.logged = [files["manifest.parquet"], *logged]
        commit_lock(copy, self, number)

    @classmethod
    def write(cls, copy, number):
        """Writes it with the package's own code, into the cache. Version n lacks the first n subjects."""
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet

        sharding, layout, selection = (copy.module(f"records.{name}") for name in ("sharding", "layout", "selection"))
        records = [record for record in range(RECORDS) if record % SUBJECTS >= number]
        owners = [subject(record % SUBJECTS) for record in records]
        rows = pa.table(
            {
                "subject_id": owners,
                "record_id": [f"SCAN-{record:07d}" for record in records],
                "split": [selection.split_of(name, 0.8, 0.1, "s") for name in owners],
                "label": [str(record % 10) for record in records],
                "position": records,
            }
        )
        folder = copy.root.parent / f"dataset-{number}"
        description = layout.Description(
            [str(label) for label in range(10)],
            8,
            1,
            background="#000000",
            further_pages="refuse",
            split_by="hash",
            records={},
            subjects={},
        )
        cache = copy.module("records.shard_cache").ShardCache(copy.root.parent / "shards")
        images = Images(copy.module("records.images"))
        sharding.write_dataset(
            folder, rows, images, description, subjects=1024, salt="s", subject_salt="s", cache=cache
        )
        logged = copy.root.parent / f"csv-{number}" / "manifest.csv"
        logged.parent.mkdir()
        pyarrow.csv.write_csv(pyarrow.parquet.read_table(folder / "manifest.parquet"), logged)
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        return cls(copy, number, files, [logged])


def commit_lock(copy, dataset, number):
    """A commit whose dvc.lock says that the dataset version was made, and a model trained with it."""
    out = {"path": "data/processed", "hash": "md5", "md5": dataset.md5}
    model = {"path": "models/model.safetensors", "hash": "md5", "md5": md5(f"model {number}")}
    run = {"path": "models/run.json", "hash": "md5", "md5": md5(f"run {number}")}
    dataset.lock = {
        "preprocess": {"cmd": "preprocess", "outs": [out]},
        "train": {"cmd": "train", "deps": [out], "outs": [model, run]},
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": dataset.lock}, sort_keys=False))
    document = {
        "model": {"identity": identity_of(copy, dataset), "md5": model["md5"]},
        "training_run": {"tracking_uri": "sqlite:///mlflow.db"},
        "dataset": {"md5": dataset.md5},
    }
    Path("lineage.json").write_text(json.dumps(document))
    copy.git("add", "dvc.lock", "lineage.json")
    made = (BEGIN + EACH * number).isoformat()  # audits hold the times of MLflow against those of commits
    copy.git("commit", "--quiet", "--message", f"Model {number}", GIT_AUTHOR_DATE=made, GIT_COMMITTER_DATE=made)
    dataset.commit = copy.git("rev-parse", "HEAD")


def identity_of(copy, dataset):
    """The identity of the model that was trained with a dataset version."""
    return copy.module("dvc.hashes").sha256_of_json(dataset.lock["train"])


class Images:
    """Tiny images, each another one."""

    count, size, settings = RECORDS, 0, ""

    def __init__(self, images):
        self.images = images

    def batches(self):
        import pyarrow as pa

        for start in range(0, RECORDS, 10_000):
            yield pa.record_batch({"image": [number.to_bytes(4) for number in range(start, start + 10_000)]})

    def stored(self, _, images):
        import numpy as np

        numbers = images["image"].to_pylist()
        return [self.images.encode(np.frombuffer(number, np.uint8).reshape(1, 2, 2)) for number in numbers]


class Filled:
    """A store with many training runs. MLflow's client makes the first of each dataset; the others are its copies."""

    def __init__(self, copy, datasets):
        self.copy, self.datasets, self.runs = copy, datasets, 0
        settings = copy.module("settings").load_settings(Path("params.yaml"))
        self.project_id = settings.project_id
        self.tracker = copy.module("tracking.tracker").Tracker(settings.tracking, copy.root)
        self.models = [self.first_run(dataset) for dataset in datasets]
        self.register(settings.tracking.model_name)

    def first_run(self, dataset):
        tracker = self.tracker
        tags = {
            "project_id": self.project_id,
            "dvc_stage": "train",
            "dvc_data_md5": dataset.md5,
            "host": "benchmark",
            "lineage_status": "linked",
            **{f"fact_{number}": md5(str(number)) for number in range(12)},
        }
        run = tracker.start("train", tags)
        tracker.params(run, PARAMS)
        tracker.metrics(run, METRICS, 1, milliseconds(BEGIN))
        source = {"path": "data/processed", "md5": dataset.md5}
        tracker.dataset(run, "digits", dataset.md5, json.dumps(source), "training")
        artifacts = self.copy.module("tracking.address").local_path(tracker.client.get_run(run).info.artifact_uri)
        artifacts.mkdir(parents=True)
        for path in dataset.logged:
            os.link(path, artifacts / path.name)
        tracker.end(run, "FINISHED")
        return run

    def register(self, name):
        """A model version for each dataset version."""
        client = self.tracker.client
        client.create_registered_model(name, tags={"project_id": self.project_id})
        for dataset, run in zip(self.datasets, self.models, strict=True):
            tags = {
                "project_id": self.project_id,
                "model_identity": identity_of(self.copy, dataset),
                "dvc_data_md5": dataset.md5,
                "dvc_run_md5": dataset.lock["train"]["outs"][1]["md5"],
                "training_run_id": run,
                "result_git_commit_id": dataset.commit,
            }
            client.create_model_version(name, f"{client.get_run(run).info.artifact_uri}/model", run, tags=tags)

    def grow(self, runs):
        """Copies runs until there are `runs`, spread evenly over the dataset versions in their order."""
        artifacts = self.copy.root / "mlartifacts"
        each = runs // len(self.datasets)
        with sqlite3.connect("mlflow.db") as store:
            tables = {table: columns(store, table) for table in ("tags", "params", "metrics", "latest_metrics")}
            for number, first in enumerate(self.models):
                for place in range(each):
                    began = BEGIN + EACH * number + EACH / each * place
                    run = first if place == 0 else hashlib.md5(f"{number} {place}".encode()).hexdigest()
                    if place >= max(1, self.runs // len(self.datasets)):
                        copy_run(store, tables, first, run)
                        shutil.copytree(artifacts / first, artifacts / run, copy_function=os.link)
                    moments = (milliseconds(began), milliseconds(began + EACH / each / 2))
                    store.execute("UPDATE runs SET start_time = ?, end_time = ? WHERE run_uuid = ?", (*moments, run))
                    store.execute("UPDATE model_versions SET creation_time = ? WHERE run_id = ?", (moments[1], run))
        store.close()
        self.runs = runs


def copy_run(store, tables, first, run):
    fields = columns(store, "runs")
    changed = {"run_uuid": "?", "artifact_uri": f"replace(artifact_uri, '{first}', ?)"}
    values = [changed.get(name, name) for name in fields]
    chosen = f"SELECT {', '.join(values)} FROM runs WHERE run_uuid = ?"
    store.execute(f"INSERT INTO runs ({', '.join(fields)}) {chosen}", (run, run, first))
    for table, names in tables.items():
        values = ["?" if name == "run_uuid" else name for name in names]
        chosen = f"SELECT {', '.join(values)} FROM {table} WHERE run_uuid = ?"
        store.execute(f"INSERT INTO {table} ({', '.join(names)}) {chosen}", (run, first))
    made = uuid.uuid4().hex
    store.execute(
        "INSERT INTO inputs SELECT ?, source_type, source_id, destination_type, ?, step FROM inputs "
        "WHERE destination_id = ?",
        (made, run, first),
    )
    store.execute(
        "INSERT INTO input_tags SELECT ?, name, value FROM input_tags WHERE input_uuid = "
        "(SELECT input_uuid FROM inputs WHERE destination_id = ?)",
        (made, first),
    )


class Clock:
    """CPU seconds from one lap to the next."""

    def __init__(self):
        self.last = cpu()

    def lap(self):
        now = cpu()
        passed, self.last = now - self.last, now
        return passed


def cpu():
    """CPU seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def subject(number, of=SUBJECTS):
    # spread over the sorted ids, so that versions differ in several shards
    return f"PAT-{(number * 7_919) % of:06d}"


def md5(content):
    return hashlib.md5(content.encode() if isinstance(content, str) else content).hexdigest()


def milliseconds(moment):
    return int(moment.timestamp() * 1000)


def columns(store, table):
    return [row[1] for row in store.execute(f"PRAGMA table_info({table})")]


@functools.cache
def keep(copy, path):
    """Puts a file into the cache as well. Returns its hash."""
    name = copy.module("dvc.hashes").hash_file(path, path.name).md5
    if not place(copy, name).exists():
        os.link(path, place(copy, name))
    return name


def place(copy, name):
    target = copy.root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
