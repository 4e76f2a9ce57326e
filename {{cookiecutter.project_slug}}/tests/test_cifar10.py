from __future__ import annotations

import io
import pickle
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import pytest
from project.settings import Cifar10Source
from project.sources import SourceContext, fetch
from project.sources.cifar10 import BATCHES, NAMES

from lineage.base.errors import DataError
from lineage.records.images import encode
from lineage.records.raw import RECORDS

EMPTY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
BYTES = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
OBJECTS = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R"
PLAIN = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
ONE = b"K\x01M\x00\x0c\x86"  # 1 x 3072
# objects as parts of what has no flag of objects: NumPy would take the bytes for addresses
PARTS = b"X\x01\x00\x00\x00a\x85}X\x01\x00\x00\x00a" + OBJECTS + b"K\x00\x86s"
HIDDEN = b"(K\x03U\x01|N" + PARTS + b"K\x08K\x01K\x00tb"


def array(kind: bytes = BYTES + PLAIN, shape: bytes = ONE, empty: bytes = EMPTY) -> bytes:
    data = b"T" + (3072).to_bytes(4, "little") + bytes(range(256)) * 12
    return empty + b"(K\x01" + shape + kind + b"\x89" + data + b"tb"


def batch(labels: bytes = b"](K\x00e", data: bytes = array()) -> bytes:
    """A pickle as Python 2 writes it, of one image."""
    return b"\x80\x02}(U\x06labels" + labels + b"U\x04data" + data + b"u."


def fetched(folder: Path, first: bytes) -> Path:
    """The records of an archive whose first batch is this pickle."""
    files = {NAMES: pickle.dumps({b"label_names": [b"ant", b"bee"]}, 2)} | dict.fromkeys(BATCHES, batch())
    path = folder / "archive.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (files | {BATCHES[0]: first}).items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    checksum = sha256(path.read_bytes()).hexdigest()
    fetch(Cifar10Source(name="cifar10", url=str(path), sha256=checksum), SourceContext(folder, folder / "kept", folder))
    return folder / RECORDS


@pytest.mark.parametrize("order", ["C", "F"])
def test_pixels_are_read_in_the_order_in_which_they_were_pickled(tmp_path: Path, order: Literal["C", "F"]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3072), dtype=np.uint8)
    first = pickle.dumps({b"labels": [1, 0], b"data": np.array(pixels, order=order)}, 2)
    records = pq.read_table(fetched(tmp_path, first)).to_pylist()
    assert [record["label"] for record in records] == ["bee", "ant", *["ant"] * 5]
    assert [record["image"] for record in records[:2]] == [encode(image.reshape(3, 32, 32)) for image in pixels]


@pytest.mark.parametrize(
    "first",
    [
        batch(data=array(OBJECTS + PLAIN)),
        batch(data=array(OBJECTS + HIDDEN, shape=b"K\x01M\x80\x01\x86")),
        batch(data=array(BYTES + HIDDEN, shape=b"K\x01M\x80\x01\x86")),
        batch(labels=array(BYTES + HIDDEN, shape=b"M\x80\x01\x85")),
        batch(data=array(shape=b"K\x02M\x00\x0c\x86")),
        batch(data=array(shape=b"K\x01J\xff\xff\xff\xff\x86")),
        batch(data=array(shape=b"K\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01\x86")),
        batch(data=EMPTY),
        batch(data=BYTES),
        batch(data=array(empty=b"cnumpy\nndarray\n")),
        batch(data=array(empty=BYTES)),
        batch(labels=b"](K\x02e"),
        batch(labels=b"](J\xff\xff\xff\xffe"),
        batch(labels=b"](\x88e"),
        batch(labels=b"U\x01\x00"),
    ],
    ids=[
        "objects",
        "objects with parts",
        "bytes that become objects",
        "labels that become objects",
        "more than there is",
        "a negative size",
        "a size of 2**64",
        "an array never filled",
        "a type as array",
        "the class filled",
        "a type filled as an array",
        "a label without a name",
        "a negative label",
        "a label that is no number",
        "labels that are no list",
    ],
)
def test_an_archive_of_anything_else_is_refused_in_a_sentence(tmp_path: Path, first: bytes) -> None:
    with pytest.raises(DataError, match="is no archive of CIFAR-10") as caught:
        fetched(tmp_path, first)
    assert "\n" not in str(caught.value)
