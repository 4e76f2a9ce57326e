"""`data=cifar10`: a download that is checked, tried again and resumed, and an archive that cannot do anything."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cifar_archive import BATCHES, CLASSES, EACH, content, packed, sha256
from damage import flip
from file_server import FileServer, file_server
from PIL import Image
from stages import Workshop

ARCHIVE = packed(content())
HALF = len(ARCHIVE) // 2


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server(ARCHIVE) as server:
        yield server


@pytest.fixture
def kept(workshop: Workshop) -> Path:
    """Where downloads are kept: an empty folder."""
    folder = workshop.root / ".dvc" / "tmp" / "kept" / "fetch"
    for path in folder.glob("*"):
        path.unlink()
    return folder


def configure(workshop: Workshop, url: str, checksum: str = sha256(ARCHIVE)) -> None:
    workshop.compose("data=cifar10", f"data.source.url='{url}'", f"data.source.sha256='{checksum}'")


def assert_complete(workshop: Workshop) -> None:
    """The raw records are those of the archive, to the pixel."""
    records = {record["record_id"]: record for record in workshop.records()}
    assert len(records) == len(BATCHES) * EACH
    for batch in BATCHES:
        fields = content()[batch]
        for number in range(EACH):
            record = records[f"{batch}-{number:05d}"]
            assert record["subject_id"] == record["record_id"]
            assert record["label"] == CLASSES[fields[b"labels"][number]]
            with Image.open(io.BytesIO(record["image"])) as image:
                pixels = np.asarray(image).transpose(2, 0, 1)
            assert (pixels == fields[b"data"][number].reshape(3, 32, 32)).all()


def test_a_server_that_fails_twice_and_then_breaks_off(workshop: Workshop, kept: Path, server: FileServer) -> None:
    server.faults = ["500", "503", f"cut {HALF}", "cut 1000"]
    configure(workshop, server.url)
    workshop.run("fetch")
    assert_complete(workshop)
    assert server.asked[:3] == ["", "", ""]
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in server.asked[3:]]
    assert len(starts) == 2
    assert 0 <= HALF - starts[0] < 2**16
    assert starts[1] >= starts[0]
    assert {path.name for path in kept.glob("*")} - {f"{sha256(ARCHIVE)}.lock"} == {sha256(ARCHIVE)}


def test_what_was_loaded_is_not_loaded_again_from_a_mirror(workshop: Workshop, kept: Path, server: FileServer) -> None:
    configure(workshop, server.url)
    workshop.run("fetch")
    before = (workshop.root / "data" / "raw" / "records.parquet").read_bytes()
    configure(workshop, server.url.replace("cifar-10", "mirror/cifar-10"))
    workshop.run("fetch")
    assert (workshop.root / "data" / "raw" / "records.parquet").read_bytes() == before
    assert server.asked == [""]


def test_a_kept_archive_that_was_damaged_is_loaded_again(workshop: Workshop, kept: Path, server: FileServer) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    (kept / sha256(ARCHIVE)).write_bytes(flip(ARCHIVE))
    configure(workshop, server.url)
    workshop.run("fetch")
    assert_complete(workshop)


def test_a_download_that_was_killed_is_resumed(workshop: Workshop, kept: Path, server: FileServer) -> None:
    server.faults = [f"stall {HALF}"]
    configure(workshop, server.url)
    process = workshop.project.start("python", "-I", "scripts/stage.py", "traceable_digits.stages.fetch")
    partial, deadline = kept / f"{sha256(ARCHIVE)}.partial", time.monotonic() + 120
    while not (partial.exists() and partial.stat().st_size):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)  # between two looks at the condition
    process.kill()
    process.communicate()
    loaded = partial.stat().st_size
    assert not (workshop.root / "data" / "raw").exists()
    workshop.run("fetch")
    assert_complete(workshop)
    assert server.asked == ["", f"bytes={loaded}-"]


def test_half_of_another_file_is_found_out_and_loaded_anew(workshop: Workshop, kept: Path, server: FileServer) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{sha256(ARCHIVE)}.partial").write_bytes(b"x" * 1000)
    configure(workshop, server.url)
    workshop.run("fetch")
    assert_complete(workshop)
    assert server.asked == ["bytes=1000-", ""]


def test_a_server_without_ranges_is_asked_for_the_whole_again(
    workshop: Workshop, kept: Path, server: FileServer
) -> None:
    server.has_ranges = False
    server.faults = [f"cut {HALF}"]
    configure(workshop, server.url)
    workshop.run("fetch")
    assert_complete(workshop)


@pytest.mark.parametrize("data", [flip(ARCHIVE), ARCHIVE[:-1000], ARCHIVE + b"x"], ids=["tampered", "cut", "longer"])
def test_another_archive_is_refused_before_it_is_unpacked(
    workshop: Workshop, kept: Path, server: FileServer, data: bytes
) -> None:
    server.data = data
    configure(workshop, server.url)
    sentence = workshop.refusal("fetch")
    assert f"SHA-256 {sha256(data)}" in sentence
    assert "data.source.url" in sentence
    assert [path for path in kept.glob("*") if path.suffix != ".lock"] == []
    server.data = ARCHIVE
    workshop.run("fetch")
    assert_complete(workshop)


def test_an_address_that_does_not_have_it(workshop: Workshop, kept: Path, server: FileServer) -> None:
    server.faults = ["404"]
    configure(workshop, server.url)
    sentence = workshop.refusal("fetch")
    assert f"{server.url} could not be downloaded: the server answers 404" in sentence
    assert "mirror" in sentence


def test_an_archive_that_is_on_this_machine(workshop: Workshop, kept: Path, tmp_path: Path) -> None:
    path = tmp_path / "here.tar.gz"
    path.write_bytes(ARCHIVE)
    configure(workshop, str(path))
    workshop.run("fetch")
    assert_complete(workshop)
    path.write_bytes(flip(ARCHIVE))
    assert sha256(flip(ARCHIVE)) in workshop.refusal("fetch")
    path.unlink()
    assert f"{path} is no file" in workshop.refusal("fetch")


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_runs_none(
    workshop: Workshop, kept: Path, server: FileServer, tmp_path: Path, protocol: int
) -> None:
    server.data = packed(content() | {"data_batch_3": pickle.dumps(Evil(tmp_path / "made"), protocol)})
    configure(workshop, server.url, sha256(server.data))
    assert "is no archive of CIFAR-10" in workshop.refusal("fetch")
    assert not (tmp_path / "made").exists()


# one image whose values are objects, described as parts of plain bytes: NumPy would take pixels for addresses
OBJECT = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R"
PARTS = b"X\x01\x00\x00\x00a\x85}X\x01\x00\x00\x00a" + OBJECT + b"K\x00\x86s"
KIND = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|N" + PARTS + b"K\x08K\x01K\x00tb"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
ADDRESSES = ARRAY + b"(K\x01K\x01M\x80\x01\x86" + KIND + b"\x89T\x00\x0c\x00\x00" + b"A" * 3072 + b"tb"


def test_an_array_that_would_follow_addresses_follows_none(workshop: Workshop, kept: Path, server: FileServer) -> None:
    batch = b"\x80\x02}(U\x06labels" + ADDRESSES + b"U\x04data" + ADDRESSES + b"u."
    server.data = packed(content() | {"data_batch_3": batch})
    configure(workshop, server.url, sha256(server.data))
    assert "is no archive of CIFAR-10" in workshop.refusal("fetch")


def test_archives_pickled_by_python_3_are_read_too(workshop: Workshop, kept: Path, server: FileServer) -> None:
    as_text = {
        name: {key.decode(): value for key, value in fields.items()}
        for name, fields in content().items()
        if name != "batches.meta"
    }
    names = {"batches.meta": {b"label_names": [name.encode() for name in CLASSES]}}
    server.data = packed({name: pickle.dumps(fields, 2) for name, fields in (as_text | names).items()})
    configure(workshop, server.url, sha256(server.data))
    workshop.run("fetch")
    assert_complete(workshop)


@pytest.mark.parametrize(
    "change",
    [
        {"test_batch": b"no pickle"},
        {"batches.meta": {b"label_names": [b"airplane"]}},
        {"data_batch_1": {b"labels": [1, 2], b"data": np.zeros((3, 3072), dtype=np.uint8)}},
        {"data_batch_1": {b"labels": [1, 2]}},
        {"data_batch_1": {b"labels": b"\x01", b"data": np.zeros((1, 3072), dtype=np.uint8)}},
        {"batches.meta": {b"label_names": b"airplanes!"}},
    ],
    ids=["broken", "too few names", "too few labels", "no images", "labels as bytes", "names in one"],
)
def test_an_archive_of_something_else(
    workshop: Workshop, kept: Path, server: FileServer, change: dict[str, object]
) -> None:
    server.data = packed(content() | change)
    configure(workshop, server.url, sha256(server.data))
    assert "is no archive of CIFAR-10" in workshop.refusal("fetch")


def test_the_pipeline_makes_a_dataset_version_of_it(workshop: Workshop, kept: Path, server: FileServer) -> None:
    configure(workshop, server.url)
    workshop.run("fetch")
    workshop.run("preprocess")
    rows = workshop.manifest()
    assert len(rows) == len(BATCHES) * EACH
    assert {row["label"] for row in rows} == set(CLASSES)
