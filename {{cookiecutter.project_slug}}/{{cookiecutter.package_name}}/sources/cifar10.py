"""CIFAR-10: 60,000 photographs of 32 x 32 pixels in ten classes, from the official archive in the version for Python.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html. The archive holds pickled files, and a pickle can run any code: it is
checked against its SHA-256 first, and then read by a reader that knows nothing but arrays of bytes. NumPy's own classes
are not among what it knows: a pickle that says how they are filled can have them follow addresses of its choice.

The id of a record says where it stands in the archive: `data_batch_3-00042`. The official test images are records like
all others, under ids that begin with `test_batch-`: this pipeline splits by a hash of the subject's id, which keeps a
record in its split however many others there are.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lineage.base.download import KnownFile
from lineage.base.errors import DataError
from lineage.records.images import encode
from lineage.records.raw import RAW_SCHEMA, RECORDS

from ..settings import Cifar10Source
from . import SourceContext, no_columns

BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
NAMES = "batches.meta"
SHAPE = (3, 32, 32)
LARGEST = 2**26  # bytes of a file in the archive; the true ones have 31 MB
NOTHING = (None, None, None, -1, -1, 0)  # what the description of a type says that has no parts and no flags


def fetch(settings: Cifar10Source, context: SourceContext) -> None:
    """Writes records.parquet. Raises DataError if the archive cannot be had or is not what it should be."""
    if context.columns:
        raise no_columns("cifar10", context.columns, "Set data.columns=[]")
    archive = KnownFile(settings.url, settings.sha256, "data.source").obtain(context.cache_dir, context.root)
    try:
        files = _unpack(archive)
        names = _names(files[NAMES])
        with pq.ParquetWriter(context.folder / RECORDS, RAW_SCHEMA, compression="none") as writer:
            for batch in BATCHES:
                rows = _records(batch, files.pop(batch), names)
                writer.write_table(pa.Table.from_pylist(rows, schema=RAW_SCHEMA))
    except Exception as error:  # a pickle that is not what it should be can raise anything
        said = " ".join(str(error).split())[:200]
        raise DataError(
            f"{settings.url} is no archive of CIFAR-10 in the version for Python: {type(error).__name__}: {said}. "
            "Check data.source.url and data.source.sha256."
        ) from None


def _unpack(archive: Path) -> dict[str, dict[bytes, Any]]:
    """The content of the pickled files by name. Nothing is written to disk."""
    files = {}
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            name = PurePosixPath(member.name).name
            file = members.extractfile(member) if name in (*BATCHES, NAMES) else None
            if file is not None:
                if member.size > LARGEST:
                    raise ValueError(f"{name} has {member.size} bytes")
                files[name] = _Reader(io.BytesIO(file.read()), encoding="bytes").load()
    return files


class _Reader(pickle.Unpickler):
    """Reads arrays of bytes and plain data. Whatever else a pickle asks for is refused."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")  # its name since NumPy 2
        if (module, name) in (("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray")):
            return _Array
        if (module, name) == ("numpy", "dtype"):
            return _Bytes
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for readers as old as Python 2
            return _encode
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


class _Bytes:
    """In context of NumPy's type of values: no other than bytes can be had."""

    __slots__ = ()

    def __init__(self, kind: object, *_: object) -> None:
        if kind not in (b"u1", "u1"):
            raise ValueError("it has arrays of something else than bytes")

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or state[1:] not in ((order, *NOTHING) for order in (b"|", "|")):
            raise ValueError("it describes bytes as something else")


class _Array:
    """In context of NumPy's array, which a pickle makes empty first, and then fills by `__setstate__`."""

    __slots__ = ("values",)
    values: NDArray[np.uint8]

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, shape, kind, is_by_column, data = state
        if not isinstance(kind, _Bytes) or type(data) is not bytes:
            raise ValueError("it has an array of something else than bytes")
        if not isinstance(shape, tuple) or not all(type(size) is int and size > 0 for size in shape):
            raise ValueError("it has an array without a shape")
        # raises ValueError where the shape is that of more bytes, or fewer
        self.values = np.frombuffer(data, np.uint8).reshape(shape, order="F" if is_by_column else "C")


def _encode(text: str, *_: object) -> bytes:
    return text.encode("latin1")


def _names(content: dict[Any, Any]) -> list[str]:
    names = _field(content, "label_names")
    if not isinstance(names, list) or not all(type(name) is bytes for name in names):
        raise ValueError("it has no names of classes")
    return [name.decode() for name in names]


def _records(batch: str, content: dict[bytes, Any], names: list[str]) -> list[dict[str, Any]]:
    images, labels = _field(content, "data"), _field(content, "labels")
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < len(names) for label in labels):
        raise ValueError(f"{batch} has labels without a name")
    pixels = images.values if isinstance(images, _Array) else None
    if pixels is None or pixels.shape != (len(labels), 3 * 32 * 32):
        raise ValueError(f"the images of {batch} are no {len(labels)} x 3072 bytes")
    ids = [f"{batch}-{number:05d}" for number in range(len(labels))]
    return [
        {"record_id": record, "subject_id": record, "label": names[label], "image": encode(image)}
        for record, label, image in zip(ids, labels, pixels.reshape(-1, *SHAPE), strict=True)
    ]


def _field(content: dict[Any, Any], name: str) -> Any:
    """A field of a pickled file, whose keys are bytes in the official archive and text in some that were made later."""
    return content[name.encode()] if name.encode() in content else content[name]
