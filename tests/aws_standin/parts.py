"""Objects that were uploaded in parts. They may be larger than memory: moto holds each whole, and for every range of it
once more. Here parts stay in files, and what is asked for is read from them. Of parts full of zeros, files are sparse.

A file of each part stays open: 20 GB in parts of 5 MiB are 4,000 (`ulimit -n`).
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML, S3ClientError
from moto.s3.models import FakeKey, FakeMultipart, s3_backends

CHUNK = 2**20
SMALLEST = 5 * 2**20  # bytes of a part that is not the last


class Parts:
    """The content of an object, in the files of its parts."""

    def __init__(self, keys: list[FakeKey]) -> None:
        self._files = [(key._value_buffer, key.size) for key in keys]
        for key in keys:
            key._value_buffer = io.BytesIO()  # moto closes those of parts when it pleases

    def __len__(self) -> int:
        return sum(size for _, size in self._files)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, in pieces."""
        for file, size in self._files:
            place, last = max(start, 0), min(end, size)
            while place < last:
                data = os.pread(file.fileno(), min(CHUNK, last - place), place)  # others read other places of it
                yield data
                place += len(data)
            start, end = start - size, end - size


def parts_of(path: str) -> Parts | None:
    """The content of the object at `/BUCKET/KEY`, if it was uploaded in parts."""
    bucket, _, name = path.lstrip("/").partition("/")
    try:
        key = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_object(bucket, name) if name else None
    except S3ClientError:
        return None
    return getattr(key, "in_parts", None)


def range_of(headers: dict[str, str], size: int) -> tuple[int, int]:
    """From where up to where moto's answer says that it has the content."""
    said = headers.get("content-range", "")
    if not said:
        return 0, size
    first, _, last = said.removeprefix("bytes ").partition("/")[0].partition("-")
    return int(first), int(last) + 1


def keep_in_files() -> None:
    """Lets moto keep parts in files and put none of them together."""
    set_part, whole = FakeMultipart.set_part, FakeKey.value

    def kept(self: FakeMultipart, part_id: int, value: bytes) -> FakeKey:
        key = set_part(self, part_id, b"")
        file = tempfile.TemporaryFile()  # noqa: SIM115  closed with the key
        if value.strip(b"\0"):
            file.write(value)
        else:
            file.truncate(len(value))
        file.flush()
        key._value_buffer, key.contentsize = file, len(value)
        return key

    def complete(self: FakeMultipart, body: Any) -> tuple[Parts, str, None]:
        keys, hashes = list[FakeKey](), b""
        for number, etag in body:
            key = self.parts.get(number)
            if key is None or key.etag.strip('"') != etag.strip('"'):
                raise InvalidPart
            if keys and keys[-1].size < SMALLEST:
                raise EntityTooSmall
            keys.append(key)
            hashes += bytes.fromhex(key.etag.strip('"'))
        if not keys:
            raise MalformedXML
        return Parts(keys), f"{hashlib.md5(hashes, usedforsecurity=False).hexdigest()}-{len(keys)}", None

    def put(self: FakeKey, value: Any) -> None:
        if isinstance(value, Parts):
            self.in_parts, self.contentsize = value, len(value)
        else:
            whole.fset(self, value)

    def get(self: FakeKey) -> bytes:
        parts = getattr(self, "in_parts", None)
        return b"".join(parts.read(0, len(parts))) if parts is not None else whole.fget(self)

    FakeMultipart.set_part, FakeMultipart.complete, FakeKey.value = kept, complete, property(get, put)
