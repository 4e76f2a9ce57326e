"""Small archives in the format of CIFAR-10: files that Python 2 pickled, with arrays of the NumPy of then."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from typing import Any

import numpy as np

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
EACH = 30  # images in a batch; ten thousand in the true ones


def content() -> dict[str, dict[bytes, Any]]:
    """The files of an archive, unpickled; images that compress badly, as photographs do."""
    random = np.random.default_rng(10)
    files: dict[str, dict[bytes, Any]] = {
        batch: {
            b"batch_label": f"{batch} of six".encode(),
            b"labels": [(number * 7 + position) % 10 for number in range(EACH)],
            b"data": random.integers(0, 256, (EACH, 3072), dtype=np.uint8),
            b"filenames": [f"thing_s_{number:06d}.png".encode() for number in range(EACH)],
        }
        for position, batch in enumerate(BATCHES)
    }
    names = [name.encode() for name in CLASSES]
    return files | {"batches.meta": {b"num_cases_per_batch": EACH, b"label_names": names, b"num_vis": 3072}}


def packed(files: dict[str, Any]) -> bytes:
    """The archive of these files: bytes as they are, anything else pickled."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, value in {"readme.html": b"<html>", **files}.items():
            data = value if isinstance(value, bytes) else b"\x80\x02" + _pickled(value) + b"."
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _pickled(value: Any) -> bytes:
    """What the pickle module of Python 2 writes with protocol 2, but for its notes of what came before."""
    if isinstance(value, bytes):
        return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))) + value
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_pickled, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_pickled, value)) + b"t"
    if isinstance(value, dict):
        return b"}(" + b"".join(_pickled(part) for pair in value.items() for part in pair) + b"u"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return empty + b"(K\x01" + _pickled(value.shape) + kind + b"\x89" + _pickled(value.tobytes()) + b"tb"
