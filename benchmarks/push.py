"""Push and pull of many small records over S3: as shards, and in the usual way as files, in the same run.

    python benchmarks/push.py PROJECT [--records 600000] [--usual 2000 20000] [--pixels 52] [--scratch FOLDER]

`PROJECT` is a freshly baked project after `make setup`; nothing in it is changed. Run with the project's own Python;
`make test` in this repository has made the environment of the stand-in for S3. 600,000 records need 12 GB of room.

Ours: the records as `preprocess` makes a dataset version of them, each with a subject of its own; `lineage data push`,
the same once more with nothing changed, and `lineage data pull` in a fresh clone. Beside it `dvc push` and `dvc pull`
of the same shards. The usual way: the same images as PNG files in a folder, `dvc add`, `dvc push`, `dvc push` once
more, `dvc pull` in a fresh clone. It is measured at two sizes, and scaled from these in a straight line: what a command
takes however little there is to do is counted once.

Measured is the client: CPU seconds of the command and its children, and seconds on the clock. On the clock there is
the stand-in as well, which works on the same machine and has no network before it. Its CPU is not counted.

At the end one subject opts out: `preprocess` and `lineage data push` again, and which objects were written to S3.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from growth import write_raw
from kept import Kept, git, use
from standin import standin
from taken import taken

SUBJECTS = 1024  # in a shard, on average: conf/data/base.yaml
STEPS = ("push", "push again", "pull")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--records", type=int, default=600_000)
    parser.add_argument("--usual", type=int, nargs=2, default=[2_000, 20_000], help="files, at two sizes")
    parser.add_argument("--pixels", type=int, default=52, help="of a side; 52: 2.8 kB, as in dvc#7607")
    parser.add_argument("--scratch", type=Path, help="a folder with room; else the system's")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["DVC_NO_ANALYTICS"] = "1"
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}", flush=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as name, standin(Path(name) / "standin") as bucket:
        folder = Path(name)
        os.environ["DVC_SITE_CACHE_DIR"] = str(folder / "site")
        shards = Shards(options, folder, bucket)
        ours = shards.measure("ours", ("lineage", "data"))
        beside = shards.measure("dvc", ("dvc",))
        usual = [Files(shards, count, folder, bucket).measure() for count in options.usual]
        compare(options, ours, beside, usual)
        shards.opt_out()


def compare(options, ours, beside, usual):
    """Prints the usual way for as many records, and how many times longer it takes."""
    fewer, more = options.usual
    for step in STEPS:
        small, large = usual[0][step], usual[1][step]
        further = (options.records - more) / (more - fewer)
        # where both take as long but for chance, the line may fall
        scaled = [b + max(b - a, 0) * further for a, b in zip(small[:2], large[:2], strict=True)]
        print(f"{step}: {options.records:,} records as shards {ours[step]}; with `dvc` {beside[step]}")
        print(f"    as files: {fewer:,}: {small}; {more:,}: {large}")
        print(
            f"    {options.records:,} as files, scaled: {scaled[0]:.0f} s of CPU, {scaled[1]:.0f} s: "
            f"{scaled[0] / ours[step].cpu:.0f} times the CPU, {scaled[1] / ours[step].clock:.0f} times on the clock",
            flush=True,
        )


class Shards:
    """A copy of the project with a dataset version, made by the stage's own code."""

    def __init__(self, options, folder, bucket):
        project = options.project.resolve()
        self.folder, self.bucket, self.kept = folder, bucket, Kept(project, folder)
        self.package = next(project.glob("*/stages/train.py")).parents[1].name
        os.chdir(project)
        document = import_module("lineage.base.yaml12").parse_yaml(Path("params.yaml").read_text())
        document["data"]["image"] |= {"size": options.pixels, "channels": 1}
        document["data"]["shards"]["subjects"] = SUBJECTS
        registry = {"path": "consent.csv", "variable": None, "query": None}
        snapshot = {"enabled": ["registry"], "path": "data/consent.csv"}
        document["privacy"] |= {"name": "registry", "snapshot": snapshot, "registry": registry}
        self.settings = import_module(f"{self.package}.settings").Settings.model_validate(document)
        self.raw = folder / "raw" / "records.parquet"
        write_raw(self.raw, options.records, options.pixels, each=1)
        self.subjects = [f"S-{number:08d}" for number in range(options.records)]
        self.dataset = self.preprocess(revoked=None)

    def preprocess(self, revoked):
        """Makes a dataset version, brings it into the cache, and commits it. Returns its hash."""
        statuses = [(name, "revoked" if name == revoked else "active") for name in self.subjects]
        consent, processed = self.folder / "consent.csv", self.folder / "processed"
        import_module("lineage.records.consent").write_snapshot(consent, statuses)
        inputs = {"data/raw": self.raw.parent, "data/consent.csv": consent}
        shutil.rmtree(processed, ignore_errors=True)
        engine = import_module("lineage.records.sharding").in_processes
        report = SimpleNamespace(cache_dir=self.folder / "kept", metrics=lambda *_: None, engine=engine)
        stage = import_module(f"{self.package}.stages.preprocess")
        outputs = {"data/processed": processed, "data/profile.json": self.folder / "profile.json"}
        stage.work(self.settings, inputs, outputs, report)
        files = [path for path in processed.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        print(f"{len(statuses):,} subjects, {len(files) - 2} shards, {size / 1e9:.2f} GB", flush=True)
        return self.kept.commit_dataset(processed)

    def measure(self, prefix, command):
        """What the three steps take, with a prefix of the bucket of their own."""
        from lineage.dvc.hashes import hash_tree

        self.kept.use(self.bucket.url(prefix))
        clone = self.folder / prefix / "clone"
        git(self.folder, "clone", "--quiet", str(self.kept.root), str(clone))
        use(clone, self.bucket.url(prefix))
        # dvc would miss what the other stages have not made here
        push = [*command, "push", *(["preprocess"] if command == ("dvc",) else [])]
        pull = [*command, "pull", *(["preprocess"] if command == ("dvc",) else [])]
        found = {name: taken(push, cwd=self.kept.root)[0] for name in STEPS[:2]}
        found["pull"] = taken(pull, cwd=clone)[0]
        assert hash_tree(clone / "data" / "processed").md5 == self.dataset
        for step, took in found.items():
            print(f"shards, {' '.join(command)}, {step}: {took}", flush=True)
        shutil.rmtree(clone.parent)
        return found

    def opt_out(self):
        """One subject revokes: what is written to S3 for that."""
        from lineage.proof.case import Evidence

        self.kept.use(self.bucket.url("ours"))
        before, objects = self.bucket.objects("ours"), Evidence(self.kept.root).objects
        count = sum(path.startswith("shards/") for path in objects.listing(self.dataset))
        dataset = self.preprocess(self.subjects[len(self.subjects) // 2])
        took, _ = taken(["lineage", "data", "push"], cwd=self.kept.root)
        paths = {md5: path for path, md5 in objects.listing(dataset).items()} | {dataset: "the listing"}
        written = [
            (paths[md5], size)
            for md5, (moment, size) in self.bucket.objects("ours").items()
            if md5 not in before or before[md5][0] != moment
        ]
        shards = sum(path.startswith("shards/") for path, _ in written)
        print(f"one of {len(self.subjects):,} subjects opts out, push: {took}")
        print(f"    written to S3: {shards} of {count} shards; all:")
        for path, size in sorted(written):
            print(f"    {path}, {size:,} bytes", flush=True)


class Files:
    """A repository with images as files in a folder."""

    def __init__(self, shards, count, folder, bucket):
        import pyarrow.parquet as pq

        self.root, self.count, self.shards = folder / f"files-{count}" / "project", count, shards
        images = self.root / "images"
        images.mkdir(parents=True)
        rows = (row for batch in pq.ParquetFile(shards.raw).iter_batches(1000) for row in batch.to_pylist())
        for row in itertools.islice(rows, count):
            (images / f"{row['record_id']}.png").write_bytes(row["image"])
        for command in ("git init --quiet", "dvc init --quiet", "dvc add --quiet images"):
            subprocess.run(command.split(), cwd=self.root, check=True)
        config = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {bucket.url(f'files-{count}')}\n"
        (self.root / ".dvc" / "config").write_text(config)
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--message", "Images")

    def measure(self):
        clone = self.root.parent / "clone"
        git(self.root, "clone", "--quiet", str(self.root), str(clone))
        found = {name: taken(["dvc", "push"], cwd=self.root)[0] for name in STEPS[:2]}
        found["pull"] = taken(["dvc", "pull"], cwd=clone)[0]
        assert len(list((clone / "images").iterdir())) == self.count
        for step, took in found.items():
            print(f"{self.count:,} files, {step}: {took}", flush=True)
        shutil.rmtree(self.root.parent)
        return found


if __name__ == "__main__":
    main()
