"""How long audits of records take, against the usual way in the same run, and what an opt-out costs.

    python benchmarks/records.py PROJECT [--part audit large optout] [--runs 500 5000] [--versions 100]

`PROJECT` is a freshly baked project; it is copied, and the copies are filled and deleted. Run with the project's own
Python. Figures are CPU seconds, children included, and medians: machines are shared and noisy.

The usual way: each run has logged its manifest as CSV; all runs are asked for theirs, and each is scanned for one
subject. Both ways are measured in a process that has imported everything, and after the store has listed its runs and
versions; what that listing takes is said beside.
"""

import argparse
import bisect
import csv
import functools
import hashlib
import importlib
import io
import itertools
import json
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

RECORDS, SUBJECTS, DATASETS = 100_000, 10_000, 10
MANY_RECORDS, MANY_SUBJECTS = 1_000_000, 100_000
IMAGES, IMAGE_SIZE, SHARD_SUBJECTS = 50_000, 32, 200  # of 10,000 subjects: about 50 shards
REPEATS = 9
SAMPLE = 50  # runs of which the usual way is measured
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
EACH = timedelta(days=10)  # from one dataset version to the next; its runs are spread over it
PARAMS = {f"model.setting_{number:02}": f"value {number}" for number in range(25)}
METRICS = {f"epoch_metric_{number:02}": float(number) for number in range(30)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=list(PARTS))
    parser.add_argument("--runs", type=int, nargs="*", default=[500, 5000], help="of the part audit")
    parser.add_argument("--versions", type=int, default=100, help="of the part large")
    parser.add_argument("--scratch", type=Path, help="a folder with 30 GB of room; else the system's")
    options = parser.parse_args()
    project = options.project.resolve()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}", flush=True)
    for part in options.part:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            PARTS[part](Copy(project, Path(folder)), options)


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


# --- who is in which model -------------------------------------------------------------------------------------------


def audit(copy, options):
    """500 runs, then 5,000, on 10 dataset versions of 100,000 records: the usual way, ours cold, ours warm."""
    datasets = [Dataset.write(copy, number) for number in range(DATASETS)]
    filled, stores = Filled(copy, datasets), {}
    for runs in options.runs:
        filled.grow(runs)
        stores[runs] = listed(copy, runs)
        if runs == options.runs[0]:
            usual = the_usual_way(copy, runs)
    times = ours(copy, stores, datasets)
    for runs in options.runs:
        print(f"{runs} runs, {len(datasets)} dataset versions of {RECORDS} records")
        for name, seconds in times[runs].items():
            ratios = [f"{way} {one * runs / seconds:.0f} times" for way, one in usual.items()]
            print(f"  {name}: {seconds:.3f} s of CPU; {', '.join(ratios)} as long")
    first, last = options.runs[0], options.runs[-1]
    for name in times[first] if first != last else ():
        print(f"from {first} to {last} runs, {name}: {times[last][name] / times[first][name]:.2f} times")


class Dataset:
    """One dataset version: its hash, its manifest, and the commit that records it."""

    def __init__(self, copy, number, files, logged):
        """`files` are those of the dataset version, by path; `logged` what each run logs beside the manifest."""
        hashes = copy.module("dvc.hashes")
        listing = {path: keep(copy, file) for path, file in files.items()}
        self.md5 = hashes.md5_of_listing(listing)
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
        "model": {"identity": copy.module("lineage.chain").model_identity(dataset.lock), "md5": model["md5"]},
        "training_run": {"tracking_uri": "sqlite:///mlflow.db"},
        "dataset": {"md5": dataset.md5},
    }
    Path("lineage.json").write_text(json.dumps(document))
    copy.git("add", "dvc.lock", "lineage.json")
    made = (BEGIN + EACH * number).isoformat()  # audits hold the times of MLflow against those of commits
    copy.git("commit", "--quiet", "--message", f"Model {number}", GIT_AUTHOR_DATE=made, GIT_COMMITTER_DATE=made)
    dataset.commit = copy.git("rev-parse", "HEAD")


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
        chain = self.copy.module("chain.document")
        client = self.tracker.client
        client.create_registered_model(name, tags={"project_id": self.project_id})
        for dataset, run in zip(self.datasets, self.models, strict=True):
            tags = {
                "project_id": self.project_id,
                "model_identity": chain.model_identity(dataset.lock),
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


def the_usual_way(copy, runs):
    """CPU seconds for each run to look for a subject in the manifests of all runs, by how CSV is read."""
    import pandas

    evidence = copy.module("proof.case").Evidence(copy.root)
    client = evidence.store.client
    (experiment,) = [found.experiment_id for found in client.search_experiments() if found.name != "Default"]
    every = client.search_runs([experiment], "tags.dvc_stage = 'train'", max_results=1000)
    some = min(SAMPLE, len(every))
    chosen = [every[number * len(every) // some] for number in range(some)]

    def rows(path):
        with Path(path).open(encoding="utf-8", newline="") as file:
            return sum(row["subject_id"] == WANTED for row in csv.DictReader(file))

    def frame(path):
        return int((pandas.read_csv(path, usecols=["subject_id"], dtype=str)["subject_id"] == WANTED).sum())

    seconds = {}
    for name, scan in (("csv.DictReader", rows), ("pandas", frame)):
        before = cpu()
        found = [scan(client.download_artifacts(run.info.run_id, "manifest.csv")) for run in chosen]
        seconds[name] = (cpu() - before) / len(chosen)
        assert sum(map(bool, found)) == len(chosen) // 2, found
        total = seconds[name] * runs
        print(f"the usual way, {name}: {total:.1f} s of CPU ({len(chosen)} of {runs} runs, scaled)", flush=True)
    return seconds


def listed(copy, runs):
    """The store after it has listed its runs and versions."""
    clock = Clock()
    evidence = copy.module("proof.case").Evidence(copy.root)
    _ = evidence.places.cache, evidence.places.remote_or_none  # opens DVC
    opening = clock.lap()
    _ = evidence.store.runs, evidence.store.versions, evidence.store.neighbours
    print(f"{runs} runs: opening Git and DVC {opening:.2f} s, the store's listing {clock.lap():.2f} s", flush=True)
    return evidence.store


def ours(copy, stores, datasets):
    """Median CPU seconds of two questions, with and without what earlier audits have kept, by number of runs.

    All are asked in turn, so that what else the machine does weighs on all of them alike.
    """
    kept = copy.root / ".dvc" / "tmp" / "kept" / "audit"
    times = {runs: {} for runs in stores}
    for _ in range(REPEATS):
        for runs, store in stores.items():
            for title, question in (("audit excluded", excluded), ("audit subject", held)):
                shutil.rmtree(kept, ignore_errors=True)
                for name in ("cold", "warm"):
                    evidence = copy.module("proof.case").Evidence(copy.root)
                    evidence.store = store
                    _ = evidence.places.cache, evidence.places.remote_or_none
                    clock = Clock()
                    question(copy, evidence, runs, (runs + len(datasets)) // 2)
                    times[runs].setdefault(f"{title}, {name}", []).append(clock.lap())
    return {runs: {name: statistics.median(each) for name, each in found.items()} for runs, found in times.items()}


def excluded(copy, evidence, runs, uses):
    """Whether a subject is in nothing made since the moment from which on versions lack it."""
    answer = copy.module("audit.exclusion").excluded(evidence, [WANTED], BEGIN + EACH * (DATASETS // 2))
    assert answer.verdict == "PASSED", answer.reasons[:3]
    assert answer.looked_at["made since"] == uses, answer.looked_at


def held(copy, evidence, runs, uses):
    """Everything that holds the subject."""
    answer = copy.module("audit.questions").subject(evidence, [WANTED])
    assert len(answer.uses) == uses
    assert not answer.unknown


# --- many large versions ----------------------------------------------------------------------------------------------

ONE_SUBJECT = """
import json, sys, time
from pathlib import Path
from lineage.audit import questions
from lineage.proof.case import Evidence
import duckdb, pyarrow.parquet
evidence = Evidence(Path.cwd())
_ = evidence.places.cache, evidence.places.remote_or_none
_ = evidence.store.runs, evidence.store.versions, evidence.store.neighbours
before, start = time.process_time(), time.monotonic()
answer = questions.subject(evidence, sys.argv[1:])
seconds = [time.process_time() - before, time.monotonic() - start]
assert not answer.unknown, answer.unknown[:3]
# the peak of getrusage would count the process that started this one
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
found = len({record.dataset for record in answer.records})
print(json.dumps([*seconds, time.process_time(), peak, found, len(answer.records)]))
"""


def large(copy, options):
    """One subject in 100 versions of 1,000,000 records that have nearly all shards in common: time and memory."""
    versions = Versions(copy)
    store = Filled(copy, [versions.write(number) for number in range(options.versions)])
    bytes_of = sum(dataset.logged[0].stat().st_size for dataset in store.datasets)
    print(
        f"{options.versions} versions of {MANY_RECORDS} records, {len(versions.shards)} shards each, "
        f"{len(versions.written)} in all; {bytes_of / 1e9:.1f} GB of manifests",
        flush=True,
    )
    wanted = subject(options.versions // 2, MANY_SUBJECTS)
    kept = copy.root / ".dvc" / "tmp" / "kept" / "audit"
    for name in ("cold", "warm"):
        times = []
        for _ in range(3):
            if name == "cold":
                shutil.rmtree(kept, ignore_errors=True)
            command = [sys.executable, "-c", ONE_SUBJECT, wanted]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            *figures, found, records = json.loads(output.splitlines()[-1])
            assert found == options.versions // 2 + 1, found
            assert records == found * (MANY_RECORDS // MANY_SUBJECTS)
            times.append(figures)
        used, wall, whole = (statistics.median(column) for column in list(zip(*times, strict=True))[:3])
        peak = max(figures[3] for figures in times) / 1024
        print(
            f"  one subject, {name}: {used:.1f} s of CPU, {wall:.1f} s on the clock; "
            f"with imports, opening and listing {whole:.1f} s of CPU; at most {peak:.0f} MiB of memory",
            flush=True,
        )


class Versions:
    """Large dataset versions, written straight with PyArrow. Version n lacks the first n subjects."""

    def __init__(self, copy):
        import pyarrow as pa

        self.copy, self.written = copy, {}
        self.sharding, self.dataset = copy.module("records.sharding"), copy.module("records.dataset")
        selection = copy.module("records.selection")
        each = MANY_RECORDS // MANY_SUBJECTS
        ids = sorted(subject(number, MANY_SUBJECTS) for number in range(MANY_SUBJECTS))
        images = [number.to_bytes(4) for number in range(MANY_RECORDS)]
        columns = {
            "record_id": [f"SCAN-{number:07d}" for number in range(MANY_RECORDS)],
            "subject_id": [name for name in ids for _ in range(each)],
            "split": [split for name in ids for split in [selection.split_of(name, 0.8, 0.1, "s")] * each],
            "label": [str(number % 10) for number in range(MANY_RECORDS)],
            "content_sha256": [hashlib.sha256(image).hexdigest() for image in images],
            "image": images,
        }
        records = pa.table(columns, schema=self.dataset.SHARD_SCHEMA)
        ends = [number + 1 for number, name in enumerate(ids) if selection.ends_shard(name, 1024, "s")]
        bounds = sorted({0, *ends, len(ids)})
        self.shards = [records.slice(begin * each, (end - begin) * each) for begin, end in itertools.pairwise(bounds)]
        self.lasts = [ids[end - 1] for end in bounds[1:]]  # the last subject of each shard
        self.files = [self.write_shard(shard) for shard in self.shards]

    def write_shard(self, shard):
        path = self.copy.root.parent / "shard.parquet"
        self.sharding.pq.write_table(shard, path, compression="none")
        name = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.written[name] = path.rename(path.with_name(f"{name}.parquet"))
        return self.written[name]

    def write(self, number):
        """The next version: one subject fewer than the one before."""
        import pyarrow.compute as pc

        if number:
            leaves = subject(number - 1, MANY_SUBJECTS)
            position = bisect.bisect_left(self.lasts, leaves)
            shard = self.shards[position]
            self.shards[position] = shard.filter(pc.not_equal(shard["subject_id"], leaves))
            self.files[position] = self.write_shard(self.shards[position])
        dataset, sharding = self.dataset, self.sharding
        table = sharding.pa.concat_tables(shard.select(dataset.MANIFEST_SCHEMA.names) for shard in self.shards)
        folder = self.copy.root.parent / f"dataset-{number}"
        folder.mkdir()
        manifest, description = folder / "manifest.parquet", folder / "dataset.json"
        # without the root of the Merkle tree, for which nobody asks here
        sharding.pq.write_table(table, manifest, compression="none", row_group_size=sharding.ROW_GROUP)
        description.write_text("{}")
        files = {f"shards/{path.name}": path for path in self.files}
        return Dataset(self.copy, number, {"manifest.parquet": manifest, "dataset.json": description, **files}, [])


# --- what an opt-out costs --------------------------------------------------------------------------------------------


def optout(copy, options):
    """One of 10,000 subjects revokes: the shards that are new, and the work of preprocess the second time."""
    project = Preprocess(copy)
    first, second, changed = [], [], []
    for number in range(3):
        project.forget()
        before, seconds = project.run(set())
        first.append(seconds)
        after, seconds = project.run({subject(number)})
        second.append(seconds)
        assert len(before - after) == 1, "more than the subject's own shard has gone"
        changed.append(len(after - before))
    print(f"{IMAGES} PNG of {IMAGE_SIZE} x {IMAGE_SIZE}, {SUBJECTS} subjects, {len(before)} shards")
    print(f"  one subject revoked: {max(changed)} shard(s) to push again")
    begin, again = statistics.median(first), statistics.median(second)
    print(
        f"  preprocess: {begin:.1f} s of CPU, after the opt-out {again:.1f} s: {again / begin:.2f} of it (medians of 3)"
    )


class Preprocess:
    """The work of the stage, on records of its own."""

    def __init__(self, copy):
        self.copy, folder = copy, copy.root.parent
        settings = copy.module("base.yaml12").parse_yaml(Path("params.yaml").read_text())
        settings["data"]["image"] |= {"size": IMAGE_SIZE, "channels": 1}
        settings["data"]["shards"]["subjects"] = SHARD_SUBJECTS
        registry = {"path": "consent.csv", "variable": None, "query": None}
        settings["privacy"] |= {"name": "registry", "live": ["registry"], "snapshot": "s", "registry": registry}
        Path("params.yaml").write_text(json.dumps(settings))
        self.settings = copy.module("settings").load_settings(Path("params.yaml"))
        self.stage, self.cache = importlib.import_module(f"{copy.package}.stages.preprocess"), folder / "kept"
        self.inputs = {"data/raw": folder / "raw", "data/consent.csv": folder / "consent.csv"}
        self.write_raw(folder / "raw")

    def write_raw(self, folder):
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq
        from PIL import Image

        raw, random, images = self.copy.module("records.raw"), np.random.default_rng(1), []
        for _ in range(IMAGES):
            buffer = io.BytesIO()
            pixels = random.integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE), np.uint8)
            Image.fromarray(pixels).save(buffer, format="PNG")
            images.append(buffer.getvalue())
        columns = {
            "record_id": [f"SCAN-{number:07d}" for number in range(IMAGES)],
            "subject_id": [subject(number % SUBJECTS) for number in range(IMAGES)],
            "label": [str(number // SUBJECTS) for number in range(IMAGES)],
            "image": images,
        }
        folder.mkdir()
        pq.write_table(pa.table(columns, schema=raw.RAW_SCHEMA), folder / raw.RECORDS)

    def forget(self):
        """As if nothing had ever run."""
        shutil.rmtree(self.cache, ignore_errors=True)

    def run(self, revoked):
        """The hashes of the shards, and CPU seconds."""
        statuses = [(name, "revoked" if name in revoked else "active") for name in map(subject, range(SUBJECTS))]
        self.copy.module("records.consent").write_snapshot(self.inputs["data/consent.csv"], statuses)
        out = self.copy.root.parent / "processed"
        shutil.rmtree(out, ignore_errors=True)
        before = cpu()
        self.stage.work(self.settings, self.inputs, {"data/processed": out}, self)
        seconds = cpu() - before
        return {md5(path.read_bytes()) for path in (out / "shards").iterdir()}, seconds

    def metrics(self, values):
        """Nobody listens."""


# --- helpers ----------------------------------------------------------------------------------------------------------


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


WANTED = subject(DATASETS // 2 - 1)  # in the first half of the dataset versions
PARTS = {"audit": audit, "large": large, "optout": optout}

main()
