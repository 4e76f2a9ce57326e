"""How time and memory grow with the number of records: preprocess, the loading for training, push, verify, audit.

    python benchmarks/growth.py PROJECT [--records 10000 100000 1000000] [--size 64] [--scratch FOLDER] [--json FILE]

`PROJECT` is a freshly baked project after `make setup`; nothing in it is changed. Run with the project's own Python;
`make test` in this repository has made the environment of the stand-in for S3. A million records of 64 pixels need
30 GB of room. Each step is a process of its own; CPU seconds are its own and those of its children, without imports and
the opening of Git and DVC, memory is the highest sum over all of them that was seen, pages that several of them share
counted once. What the stand-in takes is not counted. The dataset's hash is shown: whoever changes how data are written
compares it.

    preprocess   the stage of that name, from records.parquet to shards
    again        the same, where nothing has changed
    load         what train reads before its first epoch
    push         `lineage data push` of this dataset version to S3
    verify       what `lineage verify --rehash` does of this dataset version: every object of the remote and of the
                 cache is hashed, every image and row compared with the manifest, the Merkle root computed
    audit        `lineage audit subject`, of Git and DVC alone, for the first time
    audited      the same, with what the first time has kept
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import struct
import sys
import tempfile
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from standin import standin
from taken import taken

EACH = 5  # records of a subject
STEPS = ("preprocess", "again", "load", "keep", "push", "verify", "audit", "audited")
UNSHOWN = ("keep",)  # prepares the next one


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--size", type=int, default=64, help="of the images, in pixels")
    parser.add_argument("--subjects", type=int, help="in a shard, on average; else as the project has it")
    parser.add_argument("--scratch", type=Path, help="a folder with room; else the system's")
    parser.add_argument("--json", type=Path, help="where the figures go, for plot.py")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(options.step, options.project, options.scratch, options.size)
        return
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, {options.size} x {options.size} pixels, grey")
    if options.subjects:
        os.environ["SHARD_SUBJECTS"] = str(options.subjects)  # for the processes of the steps
    figures = []
    for count in options.records:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder, standin(Path(folder) / "standin"):
            write_raw(Path(folder) / "raw" / "records.parquet", count, options.size)
            for name in STEPS:
                figures += [{"records": count, "step": name, **measured(name, options, folder)}]
                if name not in UNSHOWN:
                    print(shown(figures[-1]), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(described(options, figures), indent=1) + "\n")


def described(options, figures):
    """The figures, and where they come from."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}",
        "size": options.size,
        "subjects": options.subjects or "as the project has it",
        "figures": [figure for figure in figures if figure["step"] not in UNSHOWN],
    }


def shown(figure):
    return (
        f"{figure['records']:>9,} records, {figure['step']:<10} {figure['cpu']:7.1f} s of CPU, "
        f"{figure['clock']:6.1f} s, {figure['memory'] / 2**20:6.0f} MiB, {figure['hash']}"
    )


def measured(name, options, folder):
    """What a step took, in a process of its own."""
    arguments = [str(options.project.resolve()), "--step", name, "--scratch", folder, "--size", str(options.size)]
    whole, output = taken([sys.executable, __file__, *arguments])
    return {**json.loads(output.splitlines()[-1]), "memory": whole.memory}


def write_raw(file, count, size, each=EACH):
    """Noise, in an order in which the records of a subject are far apart. `each` is how many it has."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.parent.mkdir()
    schema = pa.schema([(name, pa.string(), False) for name in ("record_id", "subject_id", "label")])
    schema = schema.append(pa.field("image", pa.binary(), nullable=False))
    random = np.random.default_rng(0)
    with pq.ParquetWriter(file, schema, compression="none") as writer:
        for start in range(0, count, 1000):
            numbers = range(start, min(start + 1000, count))
            pixels = random.integers(0, 256, (len(numbers), size, size), dtype=np.uint8)
            columns = {
                "record_id": [f"R-{number:08d}" for number in numbers],
                "subject_id": [f"S-{number % -(-count // each):08d}" for number in numbers],
                "label": [str(number % 10) for number in numbers],
                "image": [png(image) for image in pixels],
            }
            writer.write_table(pa.Table.from_pydict(columns, schema=schema))


def png(pixels):
    """A PNG that is not compressed; Pillow would take most of the time of this benchmark."""
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", *pixels.shape[::-1], 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def step(name, project, folder, size):
    """One step, which prints what it took."""
    os.chdir(project)
    sys.path.insert(0, str(project))
    package = next(project.glob("*/stages/train.py")).parents[1].name
    # the second time, what is kept of the first: nothing has changed but the place
    processed = folder / ("again" if name == "again" else "processed")
    work = globals()[name](project, package, folder, processed, size)
    begun, clock = used(), time.monotonic()
    work()
    took = {"cpu": used() - begun, "clock": time.monotonic() - clock}
    print(json.dumps({**took, "hash": digest(processed)[:12] if name in STEPS[:3] else ""}))


# --- each is given what it needs, and returns the work that is measured


def preprocess(project, package, folder, processed, size):
    from importlib import import_module

    import yaml

    document = yaml.safe_load(Path("params.yaml").read_text())
    document["data"]["image"]["size"] = size
    if "SHARD_SUBJECTS" in os.environ:
        document["data"]["shards"]["subjects"] = int(os.environ["SHARD_SUBJECTS"])
    settings = import_module(f"{package}.settings").Settings.model_validate(document)
    engine = import_module("lineage.records.sharding").in_processes
    report = SimpleNamespace(cache_dir=folder / "kept", metrics=lambda *_: None, engine=engine)
    inputs = {"data/raw": folder / "raw"}
    outputs = {"data/processed": processed, "data/profile.json": folder / "profile.json"}
    stage = import_module(f"{package}.stages.preprocess")
    return lambda: stage.work(settings, inputs, outputs, report)


again = preprocess


def load(project, package, folder, processed, size):
    from importlib import import_module

    import torch

    examples, layout = import_module(f"{package}.model.examples"), import_module("lineage.records.layout")
    room = {"memory": 1024 * 2**20, "scratch": folder}

    def work():
        description = layout.read_description(processed)
        loaded = examples.load_examples(processed, description, "train", torch.device("cpu"), **room)
        assert loaded.images.shape[2] == size

    return work


def keep(project, package, folder, processed, size):
    """A copy of the project whose last commit and whose cache have the dataset version."""
    from kept import Kept

    def work():
        kept = Kept(project, folder)
        kept.use("s3://bench/growth")
        kept.commit_model(kept.commit_dataset(processed))

    return work


def evidence_of(project, folder):
    """Git and DVC of the copy, opened."""
    from lineage.proof.case import Evidence

    os.chdir(folder / project.name)
    evidence = Evidence(Path.cwd())
    evidence.asks_mlflow = False
    evidence.objects.cached("0" * 32)
    _ = evidence.places.remote.fs.fs
    return evidence


def push(project, package, folder, processed, size):
    from lineage.proof.data_push import push

    evidence = evidence_of(project, folder)

    def work():
        done = push(evidence)
        assert not done.lacking, done.lacking
        assert done.sent

    return work


def verify(project, package, folder, processed, size):
    import pyarrow.parquet  # noqa: F401  not counted

    from lineage.contract import Role
    from lineage.proof.dataset import compare_manifest, subject_tree

    evidence = evidence_of(project, folder)

    def work():
        objects, md5 = evidence.objects, evidence.history.at("HEAD").recorded.made(Role.DATASET)
        names = [md5, *objects.listing(md5).values()]
        assert all(held.size is not None for held in objects.held(names).values())
        for name, found in objects.rehash_all(names).items():
            assert found.md5 == name.removesuffix(".dir")
            assert objects.hash_cached(name) == found
        assert len(subject_tree(objects, md5))
        rows, faults = compare_manifest(objects, md5)
        assert rows
        assert not faults, faults

    return work


def audit(project, package, folder, processed, size):
    import duckdb  # noqa: F401  not counted
    import pyarrow.parquet  # noqa: F401  likewise

    from lineage.audit.questions import subject

    evidence = evidence_of(project, folder)

    def work():
        answer = subject(evidence, ["S-00000007"])
        assert len(answer.records) == EACH, answer
        assert not answer.unknown, answer.unknown

    return work


audited = audit


def digest(folder):
    """A hash over all files of a dataset version."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                whole.update(
                    path.relative_to(folder).as_posix().encode() + hashlib.file_digest(file, "sha256").digest()
                )
    return whole.hexdigest()


def used():
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(times.ru_utime + times.ru_stime for times in map(resource.getrusage, who))


if __name__ == "__main__":
    main()
