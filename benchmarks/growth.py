"""How time and memory of preprocess, and of the loading for training, grow with the number of records.

    python benchmarks/growth.py PROJECT [--records 10000 100000 1000000] [--size 64] [--scratch FOLDER]

`PROJECT` is a freshly baked project after `make setup`; nothing in it is changed. Run with the project's own Python. A
million records of 64 pixels need 20 GB of room. Each step is a process of its own; CPU seconds are its own and those of
its children, memory is the highest sum over all of them that was seen, pages that several of them share counted once.
The dataset's hash is shown: whoever changes how data are written compares it.
"""

import argparse
import hashlib
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import psutil

EACH = 5  # records of a subject
STEPS = ("preprocess", "again", "load")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--size", type=int, default=64, help="of the images, in pixels")
    parser.add_argument("--scratch", type=Path, help="a folder with room; else the system's")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(options.step, options.project, options.scratch, options.size)
        return
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, {options.size} x {options.size} pixels, grey")
    for count in options.records:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            write_raw(Path(folder) / "raw" / "records.parquet", count, options.size)
            for name in STEPS:
                print(f"{count:>9,} records, {name:<10} {measured(name, options, folder)}", flush=True)


def measured(name, options, folder):
    """What a step took, in a process of its own."""
    arguments = [str(options.project.resolve()), "--step", name, "--scratch", folder, "--size", str(options.size)]
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.1)  # between two looks
    if process.returncode:
        sys.exit(process.returncode)
    answer = json.loads(process.stdout.read().splitlines()[-1])
    return f"{answer['cpu']:7.1f} s of CPU, {answer['clock']:6.1f} s, {peak / 2**20:6.0f} MiB, {answer['hash']}"


def memory(pid):
    """Bytes of a process and its children, each page once."""
    total = 0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total


def write_raw(file, count, size):
    """Noise, in an order in which the records of a subject are far apart."""
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
                "subject_id": [f"S-{number % -(-count // EACH):08d}" for number in numbers],
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
    begun, clock = used(), time.monotonic()
    (load if name == "load" else preprocess)(package, folder, processed, size)
    print(json.dumps({"cpu": used() - begun, "clock": time.monotonic() - clock, "hash": digest(processed)[:12]}))


def preprocess(package, folder, processed, size):
    from importlib import import_module

    import yaml

    document = yaml.safe_load(Path("params.yaml").read_text())
    document["data"]["image"]["size"] = size
    settings = import_module(f"{package}.settings").Settings.model_validate(document)
    report = SimpleNamespace(cache_dir=folder / "kept", metrics=lambda *_: None)
    inputs, outputs = {"data/raw": folder / "raw"}, {"data/processed": processed}
    import_module(f"{package}.stages.preprocess").work(settings, inputs, outputs, report)


def load(package, folder, processed, size):
    from importlib import import_module

    import torch

    examples, layout = import_module(f"{package}.model.examples"), import_module("lineage.records.layout")
    description = layout.read_description(processed)
    room = {"memory": 1024 * 2**20, "scratch": folder}
    loaded = examples.load_examples(processed, description, "train", torch.device("cpu"), **room)
    assert loaded.images.shape[2] == size


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
