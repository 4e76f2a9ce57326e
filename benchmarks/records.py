"""What an opt-out costs: one of 10,000 subjects revokes.

    python benchmarks/records.py PROJECT

`PROJECT` is a freshly baked project; it is copied, and the copy is filled and deleted. Run with the project's own
Python.
"""

import argparse
import importlib
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from filled import SUBJECTS, Copy, cpu, md5, subject

IMAGES, IMAGE_SIZE, SHARD_SUBJECTS = 50_000, 32, 200  # of 10,000 subjects: about 50 shards


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    project = parser.parse_args().project.resolve()
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        optout(Copy(project, Path(folder)))


def optout(copy):
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


main()
