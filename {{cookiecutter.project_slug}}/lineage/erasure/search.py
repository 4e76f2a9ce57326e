"""Whether a file names some subjects: in tables by their column subject_id, anywhere else as words, also in what is
compressed.

Not found is what no search of words finds: faces, pictures of text, what is encrypted, the compressed inside of a PDF,
an id that is cut in two or written in a way of its own.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..base.errors import ProjectError
from ..records.ids import normalize_nfc
from ..records.predictions import PROBABILITIES
from ..records.raw import RAW_SCHEMA
from .spellings import Hit, Spellings

SUBJECT = "subject_id"
CHUNK = 16 * 2**20
ROWS = 16_384  # of a table that are looked at together, at most
LIMIT = 2**30  # bytes that a compressed file may have inside
DEEP = 4  # compressed files within compressed files
CODE = (".py", ".pyc", ".md")  # code and documents are not searched: the manual has ids as examples
NO_TEXT = (".safetensors", ".pt", ".pth", ".onnx", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


class UnsearchableError(ProjectError):
    """A file cannot be looked into."""


class Search:
    """Looks for some subjects."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = list(ids)
        self._spellings = Spellings(self.ids)

    def in_text(self, text: str) -> Hit:
        """Whether a text, or the path of a file, names any of them."""
        return self._spellings.in_text(text)

    def in_path(self, path: Path) -> Hit:
        """Whether a file of this machine names any of them. Raises UnsearchableError if it cannot be looked into."""
        try:
            with path.open("rb") as file:
                return self.in_file(path.name, file)
        except FileNotFoundError:
            return Hit.NO
        except OSError as error:
            raise UnsearchableError(f"{path} cannot be read: {error.strerror or error}") from None

    def in_file(self, name: str, file: Any, depth: int = 0) -> Hit:
        """Whether an open file names any of them. Raises UnsearchableError if it cannot be looked into."""
        head = file.read(8)
        file.seek(0)
        try:
            if head[:4] == b"PAR1":
                return self._in_parquet(file)
            if head[:4] == b"PK\x03\x04":
                return self._in_zip(name, file, depth)
            if (inner := _unpacked(head, file)) is not None:
                return self._in_packed(name, inner, depth)
        except UnsearchableError:
            raise
        except Exception as error:  # damaged files have no end of ways to fail
            raise UnsearchableError(f"{name} cannot be looked into: {type(error).__name__}: {error}") from None
        return max(self._in_column(name, file), self._in_bytes(file))

    def _in_bytes(self, file: Any) -> Hit:
        best, rest, is_first = Hit.NO, b"", True
        file.seek(0)
        chunk = file.read(CHUNK)
        while chunk and best < Hit.SURE:
            following = file.read(CHUNK)
            data = rest + chunk
            best = max(best, self._spellings.in_bytes(data, is_first=is_first, is_last=not following))
            rest, chunk = data[-self._spellings.overlap :], following
            is_first = is_first and len(data) <= self._spellings.overlap
        return best

    def _in_column(self, name: str, file: Any) -> Hit:
        """Of a CSV file with a column subject_id, where even a short number means somebody."""
        if not name.lower().endswith((".csv", ".tsv", ".txt")):
            return Hit.NO
        file.seek(0)
        head = file.read(2)
        encoding = "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        file.seek(0)
        lines = codecs.getreader(encoding)(file, "replace")
        try:
            return Hit.SURE if any(normalize_nfc(value) in self.ids for value in _column(lines)) else Hit.NO
        except csv.Error:
            return Hit.NO  # the words are searched in any case

    def _in_parquet(self, file: Any) -> Hit:
        import pyarrow as pa
        import pyarrow.parquet as pq

        size = file.seek(0, io.SEEK_END)
        parquet = pq.ParquetFile(file, buffer_size=2**20)  # without a buffer, it reads whole columns
        names = parquet.schema_arrow.names
        best = max(
            (self._spellings.in_bytes(value) for value in (parquet.schema_arrow.metadata or {}).values()),
            default=Hit.NO,
        )
        if SUBJECT in names:
            for batch in parquet.iter_batches(columns=[SUBJECT]):
                if any(normalize_nfc(str(value)) in self.ids for value in batch[0].unique().to_pylist()):
                    return Hit.SURE
        known = {*RAW_SCHEMA.names, "split", "content_sha256", PROBABILITIES} if SUBJECT in names else set()
        others = [
            field.name
            for field in parquet.schema_arrow
            if field.name not in known and not pa.types.is_primitive(field.type)
        ]
        rows = max(1, min(ROWS, parquet.metadata.num_rows * CHUNK // max(1, size)))
        for batch in parquet.iter_batches(rows, columns=others) if others else ():
            for column in batch.columns:
                for value in column.to_pylist():
                    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
                    best = max(best, self._spellings.in_bytes(data))
        return best

    def _in_zip(self, name: str, file: Any, depth: int) -> Hit:
        best = Hit.NO
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                best = max(best, self.in_text(member.filename))
                if best < Hit.SURE and not member.is_dir():
                    with archive.open(member) as inner:
                        best = max(best, self._in_packed(f"{name}: {member.filename}", inner, depth))
        return best

    def _in_packed(self, name: str, inner: Any, depth: int) -> Hit:
        if depth >= DEEP:
            raise UnsearchableError(f"{name} is compressed more than {DEEP} times")
        data = inner.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise UnsearchableError(f"{name} has more than {LIMIT} bytes inside")
        for ending in (".gz", ".bz2", ".xz", ".zst"):
            name = name.removesuffix(ending)
        return self.in_file(name, io.BytesIO(data), depth + 1)


def _unpacked(head: bytes, file: Any) -> Any:
    """What is inside of a compressed file; None if it is none that we know."""
    if head[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)
    if head[:3] == b"BZh":
        return bz2.BZ2File(file)
    if head[:6] == b"\xfd7zXZ\x00":
        return lzma.LZMAFile(file)
    if head[:4] == b"\x28\xb5\x2f\xfd":
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(file, "rb"), "zstd")
    return None


def _column(lines: Iterable[str]) -> Iterator[str]:
    """The values of the column subject_id; none if there is no such column."""
    rows = iter(lines)
    header = next(rows, "")
    mark = max((",", ";", "\t"), key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=mark), [])]
    if SUBJECT not in names:
        return
    place = names.index(SUBJECT)
    for row in csv.reader(rows, delimiter=mark):
        if len(row) > place:
            yield row[place].strip()
