"""Objects larger than memory: a part of one is in memory at a time, on its way to S3 and back."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aws_standin.place import client_of
from baked import TEMPLATE
from servers import aws_standin

REGION, BUCKET = "eu-central-1", "the-data"
SIZE = 300 * 2**20  # bytes
MOST = 100  # MiB that a process may need beyond what it has when it is connected
FRAMEWORK = next(TEMPLATE.glob("*/lineage")).parent

BEGIN = """
import sys
from pathlib import Path
from lineage.dvc.hashes import hash_path
from lineage.dvc.objects import Objects
from lineage.dvc.places import Places
from lineage.dvc.upload import upload_cached, upload_path
objects, md5 = Objects(Places(Path.cwd())), sys.argv[1]
objects.held(["0" * 32])
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
"""
END = """
print((peak() - before) // 1024)
"""


@dataclass
class Remote:
    """A DVC project without Git whose remote is on S3, and one large object in its cache."""

    root: Path
    endpoint: str
    md5: str

    @property
    def cached(self) -> Path:
        return self.root / ".dvc" / "cache" / "files" / "md5" / self.md5[:2] / self.md5[2:]

    def peak_of(self, script: str) -> int:
        """MiB that a process needs more than it has when it is connected."""
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": REGION}
        environment = {**keys, "AWS_ENDPOINT_URL": self.endpoint, "PYTHONPATH": str(FRAMEWORK)}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "HOME": str(self.root), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, "-c", BEGIN + script + END, self.md5],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    folder = tmp_path_factory.mktemp("stream")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(
        f"[core]\n    no_scm = true\n    remote = storage\n['remote \"storage\"']\n    url = s3://{BUCKET}/dvc\n"
    )
    content = hashlib.md5(usedforsecurity=False)
    for _ in range(SIZE // 2**20):
        content.update(bytes(2**20))
    with aws_standin(folder, {}) as endpoint:
        where = {"LocationConstraint": REGION}
        client_of("s3", endpoint, REGION).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        found = Remote(folder, endpoint, content.hexdigest())
        found.cached.parent.mkdir(parents=True)
        with found.cached.open("wb") as file:
            file.truncate(SIZE)  # without room on the disk
        yield found


def test_an_object_goes_to_s3_in_parts(remote: Remote) -> None:
    assert remote.peak_of("assert upload_cached(objects, md5, set()) == (1, 1)") < MOST
    held = client_of("s3", remote.endpoint, REGION).head_object(
        Bucket=BUCKET, Key=f"dvc/files/md5/{remote.md5[:2]}/{remote.md5[2:]}"
    )
    assert held["ContentLength"] == SIZE


def test_an_object_on_s3_is_hashed_in_parts(remote: Remote) -> None:
    assert remote.peak_of("assert objects.rehash(md5).md5 == md5") < MOST


def test_an_object_comes_from_s3_in_parts(remote: Remote) -> None:
    remote.cached.unlink()
    assert remote.peak_of("assert objects.cache_all([md5]) == [md5]") < MOST
    assert remote.cached.stat().st_size == SIZE


def test_many_objects_at_the_same_time_share_the_memory(remote: Remote) -> None:
    """Each as large as what goes to S3 in one piece."""
    script = """
folder = Path("many")
folder.mkdir()
for number in range(24):
    (folder / str(number)).write_bytes(number.to_bytes(2, "big") * (9 * 2**19))
upload_path(objects, folder, hash_path(folder))
objects.fetch_all({Path("back"): hash_path(folder).md5})
assert len(objects.rehash_all(objects.listing(hash_path(folder).md5).values())) == 24
assert hash_path(Path("back")).md5 == hash_path(folder).md5
"""
    assert remote.peak_of(script) < MOST


def test_what_a_list_says_is_what_s3_says_of_each_object(remote: Remote) -> None:
    script = """
folder, absent, folded = Path("small"), "0" * 32, "f" * 32
folder.mkdir()
for number in range(45):
    (folder / str(number)).write_text(str(number))
content = hash_path(folder)
upload_path(objects, folder, content)
objects.places.remote_files.pipe_file(objects.places.remote_path(folded) + "/below/it", b"x")
names = [absent, folded, content.md5, *(file.md5 for file in content.files)]
found, asked = Objects(objects.places), Objects(objects.places)
found._list(names)
assert found._seen.keys() == set(names) - {folded}
listed = found.held(names)
def said(of): return {name: (held.size, held.is_file, held.since and int(held.since)) for name, held in of.items()}
assert said(listed) == said({name: asked._asked(name) for name in names})
assert listed[absent].size is None and not listed[folded].is_file and listed[content.md5].size > 1000
"""
    remote.peak_of(script)
