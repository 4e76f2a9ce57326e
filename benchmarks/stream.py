"""One large object: how much memory push, pull, restore and verify take.

    python benchmarks/stream.py PROJECT [--gigabytes 2] [--remote s3 local] [--random] [--dvc] [--scratch FOLDER]

`PROJECT` is a freshly baked project after `make setup`; nothing in it is changed. Run with the project's own Python;
`make test` in this repository has made the environment of the stand-in for S3. The object is full of zeros, for which
the stand-in and the cache need no room; what is brought back and a local remote do. `--random` fills it with noise.

With `--dvc`, `dvc push` and `dvc pull` are measured as well.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from kept import Kept
from standin import standin
from taken import taken

CHUNK = 2**20
VERIFY = """
import sys
from pathlib import Path
from lineage.proof.case import Evidence
objects = Evidence(Path.cwd()).objects
assert objects.rehash(sys.argv[1]).md5 == objects.hash_cached(sys.argv[1]).md5 == sys.argv[1]
"""
BESIDE = """
import sys
from pathlib import Path
from lineage.dvc.hashes import hash_path
from lineage.proof.case import Evidence
from lineage.dvc.upload import upload_path
path = Path(sys.argv[1])
upload_path(Evidence(Path.cwd()).objects, path, hash_path(path))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--remote", choices=("s3", "local"), nargs="*", default=["s3", "local"])
    parser.add_argument("--without-pull", action="store_true", help="which has it twice, in cache and workspace")
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--dvc", action="store_true", help="also dvc's own commands")
    parser.add_argument("--scratch", type=Path, help="a folder with room; else the system's")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["DVC_NO_ANALYTICS"] = "1"
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, {options.gigabytes:g} GB", flush=True)
    for remote in options.remote:
        with tempfile.TemporaryDirectory(dir=options.scratch) as name:
            folder = Path(name)
            os.environ["DVC_SITE_CACHE_DIR"] = str(folder / "site")
            with standin(folder / "standin") if remote == "s3" else nullcontext() as bucket:
                measure(options, folder, bucket, remote)


def measure(options, folder, bucket, remote):
    kept = Kept(options.project.resolve(), folder)
    urls = {kind: bucket.url(kind) if bucket else str(folder / f"remote-{kind}") for kind in ("ours", "dvc", "job")}
    md5 = keep_large(kept, folder, int(options.gigabytes * 1e9), options.random)
    large = kept.place(md5)

    def show(what, kind, *command):
        kept.use(urls[kind])
        print(f"{remote:>5}, {what:<30} {taken(command, cwd=kept.root)[0]}", flush=True)
        if not bucket and kind != "ours":
            shutil.rmtree(urls[kind], ignore_errors=True)  # of room there is little

    show("lineage data push", "ours", "lineage", "data", "push")
    show("verify --rehash, of the object", "ours", sys.executable, "-c", VERIFY, md5)
    show("inputs of a job to the remote", "job", sys.executable, "-c", BESIDE, str(large))
    if options.dvc:
        show("dvc push", "dvc", "dvc", "push")
    large.unlink()
    show("lineage restore, of the object", "ours", "lineage", "restore", md5, "--to", str(folder / "restored"))
    shutil.rmtree(folder / "restored")
    if options.without_pull:
        return
    show("lineage data pull", "ours", "lineage", "data", "pull")
    if options.dvc and bucket:
        shutil.rmtree(kept.root / ".dvc" / "cache")
        (kept.root / "models" / "model.safetensors").unlink()
        show("dvc pull", "dvc", "dvc", "pull", "train")  # it would miss what the other stages have not made


def keep_large(kept, folder, size, is_random):
    """Brings an object of this size into the cache, and commits a dvc.lock in which it is the model."""
    file, content = folder / "large", hashlib.md5()
    with file.open("wb") as opened:
        for start in range(0, size, CHUNK):
            chunk = os.urandom(min(CHUNK, size - start)) if is_random else bytes(min(CHUNK, size - start))
            content.update(chunk)
            if is_random:
                opened.write(chunk)
        opened.truncate(size)
    md5 = content.hexdigest()
    kept.commit("train", "models/model.safetensors", md5)
    file.rename(kept.place(md5))
    return md5


if __name__ == "__main__":
    main()
