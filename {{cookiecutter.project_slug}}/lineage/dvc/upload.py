"""Brings objects into the DVC remote: each by its hash, and a folder's listing after the files that it names."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..base.denied import reason_of
from ..base.errors import DamageError, LineageError
from .hashes import Content, listing, plain_md5
from .objects import Objects
from .stream import put


def upload_path(objects: Objects, path: Path, content: Content) -> None:
    """Puts what lies at `path`, which has this content, into the remote, as far as it is not there yet.

    Raises LineageError if the remote does not take it.
    """
    files = {file.md5: path / file.path if path.is_dir() else path for file in content.files}
    missing = [md5 for md5, held in objects.held(files).items() if held.size is None]
    objects.places.for_all(missing, lambda md5: _put(objects, md5, files[md5]))
    if content.md5.endswith(".dir") and objects.held([content.md5])[content.md5].size is None:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / content.md5
            file.write_bytes(listing({file.path: file.md5 for file in content.files}))
            _put(objects, content.md5, file)


def upload_cached(objects: Objects, md5: str, without: set[str]) -> tuple[int, int]:
    """Copies an object, and those of a folder, from the cache into the remote where it lacks them.

    Those in `without` are left out. Returns how many there are and how many were copied. Raises LineageError if one is
    in neither, or the remote does not take it.
    """
    wanted = [*(objects.listing(md5).values() if md5.endswith(".dir") else ()), md5]
    wanted = [name for name in wanted if name not in without]
    missing = [name for name, held in objects.held(wanted).items() if held.size is None]
    objects.places.for_all([name for name in missing if name != md5], lambda name: _copy(objects, name))
    if md5 in missing:
        _copy(objects, md5)
    return len(dict.fromkeys(wanted)), len(missing)


def _copy(objects: Objects, md5: str) -> None:
    cached, found = objects.cached(md5), objects.hash_cached(md5)
    if cached is None or found is None:
        raise LineageError(f"object {md5} is not in the cache here. Where it is, `lineage data push` brings it.")
    if found.md5 != plain_md5(md5):
        raise DamageError(f"{cached} does not match its hash. Delete it; `dvc repro` recreates it.")
    _put(objects, md5, cached)


def _put(objects: Objects, md5: str, file: Path) -> None:
    """Some MB at a time are in memory. In a local remote, an object is whole or not there."""
    places = objects.places
    try:
        put(places.remote_files, file, places.remote_path(md5))
    except Exception as error:  # whatever a remote raises: their classes have nothing in common
        raise LineageError(f"{places.url(md5)} cannot be written: {reason_of(error)}") from error
    finally:
        objects.forget(md5)
