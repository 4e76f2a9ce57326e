"""DVC objects: which of them there are, and their bytes, never handed on before their hash was recomputed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ..base.denied import reason_of
from ..base.errors import DamageError, LineageError
from .hashes import Hashed, hash_bytes, hash_file, hash_stream, plain_md5
from .listed import listed
from .listing import parse_listing
from .places import JOBS, Places
from .remote import object_path
from .stream import get, pieces, whole

READ_ONLY = 0o444  # as DVC leaves objects of its cache: it then takes their content for right


@dataclass(frozen=True)
class RemoteObject:
    """What a remote says of an object without reading it. `size` is None if there is none of that name."""

    md5: str
    size: int | None
    is_file: bool = True
    since: float | None = None  # when it was put there, in seconds since 1970; None if the remote does not say


class Objects:
    """The objects that `places` hold: what is there of them, and their bytes."""

    def __init__(self, places: Places) -> None:
        self.places = places
        # what was found out, until this process changes it: in the remote, by reading the remote, by reading the cache
        self._seen: dict[str, RemoteObject] = {}
        self._rehashed: dict[str, Hashed] = {}
        self._hashed: dict[str, Hashed | None] = {}

    def forget(self, md5: str) -> None:
        """Call after an object of that name was put into the remote or the cache, or deleted there."""
        for known in (self._seen, self._rehashed, self._hashed):
            known.pop(md5, None)

    def cached(self, md5: str) -> Path | None:
        """The object in the cache, unread; None if the cache has none of that name."""
        path = self.places.cache_path(md5)
        return path if path.is_file() else None

    def cached_folders(self) -> list[str]:
        """The folders whose listings the cache holds, by hash."""
        return sorted(f"{path.parent.name}{path.name}" for path in self.places.cache_root.glob("??/*.dir"))

    def held(self, hashes: Iterable[str]) -> dict[str, RemoteObject]:
        """What the remote holds of `hashes`. Raises LineageError if it cannot be asked."""
        wanted = list(dict.fromkeys(hashes))
        self._list([md5 for md5 in wanted if md5 not in self._seen])
        return self.places.for_all(wanted, self._held)

    def _list(self, hashes: list[str]) -> None:
        """Notes what the remote holds of `hashes`, if that is quicker than to ask about each."""
        try:
            found = listed(self.places.remote_files, str(self.places.remote.path), len(hashes))
        except Exception:  # who may not list may still ask about each
            return
        if found is None:
            return
        for md5 in hashes:
            path = self.places.remote_path(md5)
            if (info := found.objects.get(path)) is not None:
                self._seen[md5] = RemoteObject(md5, int(info["Size"]), since=info["LastModified"].timestamp())
            elif path not in found.folders:
                self._seen[md5] = RemoteObject(md5, None)

    def _held(self, md5: str) -> RemoteObject:
        if md5 not in self._seen:
            self._seen[md5] = self._asked(md5)
        return self._seen[md5]

    def _asked(self, md5: str) -> RemoteObject:
        try:
            info = self.places.remote_files.info(self.places.remote_path(md5))
        except FileNotFoundError:
            if (folder := self.places.absent_remote) is not None:
                raise LineageError(
                    f"the DVC remote {folder} is not there: nothing was pushed yet, or it is not mounted.",
                    fix="`lineage data push` if nothing was pushed yet, or mount it",
                ) from None
            return RemoteObject(md5, None)
        except Exception as error:  # whatever a remote raises: their classes have nothing in common
            raise LineageError(f"{self.places.url(md5)} cannot be looked up: {reason_of(error)}") from error
        put = info.get("LastModified") or info.get("mtime")
        since = put.timestamp() if isinstance(put, datetime) else put if isinstance(put, int | float) else None
        return RemoteObject(md5, int(info.get("size") or 0), info.get("type") != "directory", since)

    def is_missing(self, md5: str) -> bool:
        """Whether neither the cache nor the remote has an object of that name."""
        return self.cached(md5) is None and self.held([md5])[md5].size is None

    def kept_since(self, md5: str) -> datetime | None:
        """When the cache or the remote was given an object, whichever was first; None if neither says.

        Raises LineageError if the remote cannot be asked.
        """
        cached, held = self.cached(md5), self.held([md5])[md5]
        moments = [cached.stat().st_mtime if cached else None, held.since]
        return min((datetime.fromtimestamp(moment, UTC) for moment in moments if moment), default=None)

    def rehash_all(self, hashes: Iterable[str]) -> dict[str, Hashed]:
        """`rehash` of several objects, at the same time."""
        return self.places.for_all(hashes, self.rehash)

    def rehash(self, md5: str) -> Hashed:
        """Reads an object of the remote and computes its hashes. Raises LineageError if it cannot be read."""
        if md5 not in self._rehashed:
            try:
                with whole(self.places.remote_files, self.places.remote_path(md5)) as file:
                    self._rehashed[md5] = hash_stream(file, md5)
            except Exception as error:
                raise LineageError(f"{self.places.url(md5)} cannot be read: {reason_of(error)}") from error
        return self._rehashed[md5]

    def hash_cached(self, md5: str) -> Hashed | None:
        """Reads an object of the cache and computes its hashes; None if the cache has none of that name."""
        if md5 not in self._hashed:
            self._hashed[md5] = self._hash_cached(md5)
        return self._hashed[md5]

    def _hash_cached(self, md5: str) -> Hashed | None:
        path = self.places.cache_path(md5)
        if path.is_dir():
            return Hashed(md5, "none: it is a folder", "", 0)
        return hash_file(path, md5) if path.exists() else None

    @contextmanager
    def open(self, md5: str) -> Iterator[Any]:
        """An object to read parts of, from the cache or else the remote. Its hash is not computed: see `fetch`.

        Raises LineageError if it cannot be read.
        """
        cached = self.cached(md5)
        try:
            with cached.open("rb") if cached else self._open_remote(md5) as file:
                yield file
        except Exception as error:
            raise LineageError(f"object {md5} cannot be read: {reason_of(error)}") from error

    def _open_remote(self, md5: str) -> Any:
        return pieces(self.places.remote_files, self.places.remote_path(md5))

    def read(self, md5: str) -> bytes:
        """The bytes of a small object. Raises LineageError if neither cache nor remote holds the right ones."""
        cached = self.cached(md5)
        if cached is not None:
            data = cached.read_bytes()
            if hash_bytes(data, md5).md5 == plain_md5(md5):
                return data
        try:
            with self._open_remote(md5) as file:
                data = file.read()
        except Exception as error:
            wrong = f"{cached} holds other bytes, and " if cached else ""
            raise LineageError(f"object {md5}: {wrong}the remote does not give it: {reason_of(error)}") from error
        if hash_bytes(data, md5).md5 != plain_md5(md5):
            raise DamageError(f"{self.places.url(md5)} holds other bytes (MD5 {hash_bytes(data, md5).md5}).")
        return bytes(data)

    @cache  # noqa: B019
    def listing(self, md5: str) -> dict[str, str]:
        """The files of a folder: MD5 by path. `md5` ends in `.dir`. Raises LineageError as `fetch` does."""
        return parse_listing(self.read(md5), md5)

    def verified(self, md5: str, scratch: Path) -> Path:
        """A file with the right bytes: the one in the cache, or one fetched into `scratch`. Raises as `fetch` does."""
        found, cached = self.hash_cached(md5), self.cached(md5)
        if found is not None and cached is not None and found.md5 == plain_md5(md5):
            return cached
        target = scratch / md5
        if not target.exists():
            self.fetch(md5, target)
        return target

    def fetch(self, md5: str, target: Path) -> Hashed:
        """Puts the bytes of an object at `target`: from the cache if they are right there, else from the remote.

        Raises LineageError, and leaves nothing, if neither holds the bytes that the name promises.
        """
        partial = target.with_name(f".{target.name}.partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        faults, kind = [], LineageError
        try:
            for place, copy in self._copies(md5):
                try:
                    copy(partial)
                except Exception as error:  # whatever a remote raises: their classes have nothing in common
                    faults.append(f"{place} does not give it: {reason_of(error)}")
                    continue
                found = hash_file(partial, target.name)
                if found.md5 == plain_md5(md5):
                    partial.replace(target)
                    return found
                faults.append(f"{place} holds other bytes (MD5 {found.md5})")
                kind = DamageError
        finally:
            partial.unlink(missing_ok=True)
        raise kind(f"object {md5} cannot be had: {'; '.join(faults)}.")

    def _copies(self, md5: str) -> Iterator[tuple[str, Callable[[Path], object]]]:
        """Where the object may lie, and how it is copied from there to a path."""
        cached = self.cached(md5)
        if cached is not None:
            yield str(cached), lambda target: shutil.copyfile(cached, target)
        files, there = self.places.remote_files, self.places.remote_path(md5)
        yield self.places.url(md5), lambda target: get(files, there, target)

    def cache_all(self, hashes: Iterable[str]) -> list[str]:
        """Brings the cache what it lacks of objects, from the remote. Returns the hashes of what was brought.

        Raises as `fetch` does.
        """
        missing = [md5 for md5 in dict.fromkeys(hashes) if self.cached(md5) is None]
        self.places.for_all(missing, self._cache)
        return missing

    def _cache(self, md5: str) -> None:
        path = self.places.cache_path(md5)
        self.fetch(md5, path)
        with suppress(OSError):  # not every file system can
            path.chmod(READ_ONLY)
        self.forget(md5)

    def fetch_all(self, wanted: dict[Path, str], cache: Path | None = None) -> None:
        """Puts files and folders, by hash, at their paths; with `cache`, every object into that folder as well.

        Raises as `fetch` does, and DamageError if a listing names a file outside of its folder.
        """
        from rich.console import Console
        from rich.progress import track

        files: dict[Path, str] = {}
        for path, md5 in wanted.items():
            if not md5.endswith(".dir"):
                files[path] = md5
                continue
            path.mkdir(parents=True, exist_ok=True)
            if cache is not None:
                self.fetch(md5, object_path(cache, md5))
            files |= {path / name: file for name, file in self.listing(md5).items()}
        console = Console(stderr=True)
        _ = self.places.remote_or_none  # opened by one thread
        with ThreadPoolExecutor(JOBS) as pool:
            done = pool.map(lambda item: self._fetch_file(item[0], item[1], cache), files.items())
            for _ in track(done, "fetching", total=len(files), console=console, disable=not console.is_terminal):
                pass

    def _fetch_file(self, path: Path, md5: str, cache: Path | None) -> None:
        self.fetch(md5, path)
        if cache is not None and not (kept := object_path(cache, md5)).exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_name(f"{kept.name}.{threading.get_ident()}.partial")  # two paths may have one content
            shutil.copyfile(path, partial)
            partial.replace(kept)
