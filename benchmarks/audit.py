"""How long audits of records take, with their memory, and the usual way in the same run.

    python benchmarks/audit.py PROJECT [--part runs versions many large] [--scratch FOLDER]

`PROJECT` is a freshly baked project; it is copied, and the copies are filled and deleted. Run with the project's own
Python. Figures are CPU seconds, children included, and medians: machines are shared and noisy. Each question is asked
in a process of its own (asked.py), which says what its parts took: imports, opening, and the rest.

The usual way: each run has logged its manifest as CSV; all runs are asked for theirs, and each is scanned for one
subject.

`many` needs room for few manifests: each version is written, added to the index of audits as an audit does it, and then
an empty file takes the place of its manifest, noted as if it had been hashed. No question that is asked there opens it.
"""

import argparse
import bisect
import csv
import hashlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from filled import BEGIN, EACH, Copy, Dataset, Filled, cpu, place, subject

DATASETS = 10
OF_A_SUBJECT = 10  # records, in large dataset versions
SAMPLE = 50  # runs of which the usual way is measured
ASKED = Path(__file__).with_name("asked.py")
KEPT = Path(".dvc", "tmp", "kept", "audit")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=list(PARTS))
    parser.add_argument("--runs", type=int, nargs=2, default=[500, 5000], help="of the part runs")
    parser.add_argument("--versions", type=int, default=20, help="of the part versions")
    parser.add_argument("--many", type=int, default=1000, help="dataset versions of the part many")
    parser.add_argument("--records", type=int, default=1_000_000, help="of each of them")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scratch", type=Path, help="a folder with 12 GB of room; else the system's")
    options = parser.parse_args()
    project = options.project.resolve()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}", flush=True)
    for part in options.part:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            PARTS[part](Copy(project, Path(folder)), options)


def ask(*question, cold=False):
    """What one question took, and what it found."""
    if cold:
        shutil.rmtree(KEPT, ignore_errors=True)
    command = [sys.executable, str(ASKED), *question]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def medians(answers):
    """Of the seconds of several answers, by part."""
    return {name: statistics.median(answer["seconds"][name] for answer in answers) for name in answers[0]["seconds"]}


def report(title, answers):
    """Prints what a question took."""
    shown = ", ".join(f"{name} {seconds:.4f}" for name, seconds in medians(answers).items())
    peak = max(answer["MiB"] for answer in answers)
    print(f"  {title}, s of CPU: {shown}; at most {peak:.0f} MiB of memory", flush=True)


# --- few dataset versions, many runs ----------------------------------------------------------------------------------


def runs(copy, options):
    """500 runs, then 5,000, on 10 dataset versions of 100,000 records: the usual way, ours cold, ours warm."""
    datasets = [Dataset.write(copy, number) for number in range(DATASETS)]
    filled, usual = Filled(copy, datasets), {}
    for number in options.runs:
        filled.grow(number)
        shutil.copyfile("mlflow.db", f"{number}.db")
        usual = usual or the_usual_way(copy, number)
    since = (BEGIN + EACH * (DATASETS // 2)).isoformat()
    questions = {"audit excluded": ("excluded", WANTED, since), "audit subject": ("subject", WANTED)}
    answers = {}
    for _ in range(options.repeats):  # in turn, so that what else the machine does weighs on all of them alike
        for number in options.runs:
            Path(shutil.copyfile(f"{number}.db", "copied.db")).replace("mlflow.db")
            for title, question in questions.items():
                for name in ("cold", "warm"):
                    answer = ask(*question, cold=name == "cold")
                    assert answer["uses"] == (number + DATASETS) // 2, answer
                    answers.setdefault((f"{title}, {name}", number), []).append(answer)
    for (title, number), found in answers.items():
        report(f"{number} runs, {title}", found)
        seconds = medians(found)["question"]
        print("    " + ", ".join(f"{way} {one * number / seconds:.0f} times as long" for way, one in usual.items()))
    first, last = (
        {title: medians(found) for (title, of), found in answers.items() if of == number} for number in options.runs
    )
    for title, before in first.items():
        grown = {name: last[title][name] / before[name] for name in ("question", "command")}
        both = [sum(each[name] for name in OPENED) for each in (before, last[title])]
        print(
            f"from {options.runs[0]} to {options.runs[1]} runs, {title}: the question {grown['question']:.2f} times, "
            f"with opening {both[1] / both[0]:.2f}, the whole command {grown['command']:.2f}"
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


# --- many large versions ----------------------------------------------------------------------------------------------


def versions(copy, options):
    """One subject in versions of 1,000,000 records that have nearly all shards in common, all of them there."""
    written = Versions(copy, 1_000_000)
    datasets = [written.write(number) for number in range(options.versions)]
    Filled(copy, datasets)
    bytes_of = sum(dataset.logged[0].stat().st_size for dataset in datasets)
    print(f"{options.versions} versions of 1,000,000 records, {bytes_of / 1e9:.1f} GB of manifests", flush=True)
    in_turn(written.subjects, options)


def many(copy, options):
    """One subject in 1,000 such versions, of which no manifest is there any more when it is asked."""
    written = Versions(copy, options.records)
    datasets = []
    for number in range(options.many):
        datasets.append(written.write(number))
        put_away(copy, datasets[-1])
    Filled(copy, datasets)
    size = sum(path.stat().st_size for path in (KEPT / "index").iterdir())
    print(f"{options.many} versions of {options.records:,} records; an index of {size / 1e6:.0f} MB", flush=True)
    in_turn(written.subjects, options, cold=False)


def large(copy, options):
    """One subject in one version of 10,000,000 records."""
    written = Versions(copy, 10_000_000)
    Filled(copy, [written.write(0)])
    print("1 version of 10,000,000 records", flush=True)
    del written.shards
    options.versions = 1
    in_turn(written.subjects, options)


def in_turn(subjects, options, *, cold=True):
    """Asks for a subject that is in every second version."""
    number = options.versions if cold else options.many
    wanted = subject(number // 2, subjects)
    time.sleep(3)  # what was written just now is hashed again
    for name in ("cold", "warm") if cold else ("warm",):
        answers = [ask("subject", wanted, cold=name == "cold") for _ in range(3 if name == "cold" else options.repeats)]
        assert all(each["datasets"] == number for each in answers), answers[0]
        assert all(each["holding"] == number // 2 + 1 for each in answers), answers[0]
        report(f"one subject, {name}", answers)


def put_away(copy, dataset):
    """Adds a dataset version to the index; an empty file takes the place of its manifest."""
    builder, file = copy.module("audit.index_builder"), copy.module("audit.index_file")
    name, cache = dataset.manifest, copy.root / ".dvc" / "cache" / "files" / "md5"
    path = place(copy, name)
    with builder.Builder(KEPT / "index", cache) as adding:
        adding.add(dataset.md5, path, file.Version(name, True, file.state_of(str(path))))
        for there in (path, *dataset.logged):
            there.unlink()
            there.touch()
        adding.add(dataset.md5, path, file.Version(name, True, file.state_of(str(path))))


class Versions:
    """Large dataset versions, written straight with PyArrow. Version n lacks the first n subjects."""

    def __init__(self, copy, records):
        import pyarrow as pa

        self.copy, self.written = copy, {}
        self.subjects = records // OF_A_SUBJECT
        self.sharding, self.dataset = copy.module("records.sharding"), copy.module("records.dataset")
        selection = copy.module("records.selection")
        each = OF_A_SUBJECT
        ids = sorted(subject(number, self.subjects) for number in range(self.subjects))
        images = [number.to_bytes(4) for number in range(records)]
        columns = {
            "record_id": [f"SCAN-{number:07d}" for number in range(records)],
            "subject_id": [name for name in ids for _ in range(each)],
            "split": [split for name in ids for split in [selection.split_of(name, 0.8, 0.1, "s")] * each],
            "label": [str(number % 10) for number in range(records)],
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
            leaves = subject(number - 1, self.subjects)
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
        how = {"compression": "none", "row_group_size": sharding.ROW_GROUP, "write_page_checksum": True}
        sharding.pq.write_table(table, manifest, **how)
        description.write_text("{}")
        files = {f"shards/{path.name}": path for path in self.files}
        return Dataset(self.copy, number, {"manifest.parquet": manifest, "dataset.json": description, **files}, [])


OPENED = ("opening Git and DVC", "opening MLflow", "question")
WANTED = subject(DATASETS // 2 - 1)  # in the first half of the dataset versions
PARTS = {"runs": runs, "versions": versions, "many": many, "large": large}

main()
