"""DVC objects: where they lie, and their bytes, never handed on before their hash was recomputed."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import DamageError, LineageError
from ..lineage.denied import reason_of
from ..lineage.hashes import Content, Hashed, hash_bytes, hash_file, listing
from ..lineage.remote import object_path
from ..strict_json import parse

if TYPE_CHECKING:
    from dvc.repo import Repo

T = TypeVar("T")
PLAIN = re.compile(r"[0-9a-f]{32}")
JOBS = 16  # remotes answer slowly and in parallel


@dataclass(frozen=True)
class Held:
    """What a remote says of an object without reading it. `size` is None if there is none of that name."""

    md5: str
    size: int | None
    is_file: bool = True
    since: float | None = None  # when it was put there, in seconds since 1970; None if the remote does not say


class Objects:
    """The cache and the default remote of the project at `root`, by way of DVC's own file systems."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _repo(self) -> Repo:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            return Repo(str(self.root))
        except DvcException as error:
            raise LineageError(f"DVC cannot open {self.root}: {error}") from error

    @cached_property
    def _cache(self) -> Any:
        return self._repo.cache.local

    @cached_property
    def _remote(self) -> Any:
        from dvc.exceptions import DvcException

        try:
            return self._repo.cloud.get_remote_odb()
        except DvcException as error:
            raise LineageError(f"the DVC remote cannot be used: {error}") from error

    @property
    def remote_files(self) -> Any:
        """The file system of the default remote, as fsspec has it. Raises LineageError if the project has none."""
        return self._remote.fs

    @property
    def remote_or_none(self) -> Any:
        """The default remote, opened; None if the project has none that can be used."""
        try:
            return self._remote
        except LineageError:
            return None

    def remote_path(self, md5: str) -> str:
        """Where an object lies in that file system."""
        return str(self._remote.oid_to_path(md5))

    @cached_property
    def remote_url(self) -> str:
        """Where the default remote keeps objects. Raises LineageError if the project has none."""
        return str(self._remote.fs.unstrip_protocol(self._remote.path))

    def url(self, md5: str) -> str:
        """Where the default remote keeps one object."""
        return str(self._remote.fs.unstrip_protocol(self._remote.oid_to_path(md5)))

    def cached(self, md5: str) -> Path | None:
        """The object in the cache, unread; None if the cache has none of that name."""
        path = Path(self._cache.oid_to_path(md5))
        return path if path.is_file() else None

    @property
    def cache_folder(self) -> Path:
        """Where DVC keeps its cache: objects, and what it knows of earlier executions."""
        return Path(self._repo.cache.local_cache_dir)

    @property
    def other_remotes(self) -> dict[str, str]:
        """Remotes that DVC is configured with beside the default one: address by name."""
        config = self._repo.config
        default = config["core"].get("remote")
        return {name: str(each.get("url")) for name, each in config["remote"].items() if name != default}

    @property
    def site_cache(self) -> Path:
        """Where DVC keeps what it knows of this project's files, outside of it."""
        return Path(self._repo.site_cache_dir)

    def kept_since(self, md5: str) -> datetime | None:
        """When the cache or the remote was given an object, whichever was first; None if neither says.

        Raises LineageError if the remote cannot be asked.
        """
        cached, held = self.cached(md5), self.held([md5])[md5]
        moments = [cached.stat().st_mtime if cached else None, held.since]
        return min((datetime.fromtimestamp(moment, UTC) for moment in moments if moment), default=None)

    def cached_folders(self) -> list[str]:
        """The folders whose listings the cache holds, by hash."""
        return sorted(f"{path.parent.name}{path.name}" for path in Path(self._cache.path).glob("??/*.dir"))

    def is_nowhere(self, md5: str) -> bool:
        """Whether neither the cache nor the remote has an object of that name."""
        return self.cached(md5) is None and self.held([md5])[md5].size is None

    def held(self, hashes: Iterable[str]) -> dict[str, Held]:
        """What the remote holds of `hashes`. Raises LineageError if it cannot be asked."""
        return self._for_all(hashes, self._held)

    def rehash_all(self, hashes: Iterable[str]) -> dict[str, Hashed]:
        """`rehash` of several objects, at the same time."""
        return self._for_all(hashes, self.rehash)

    def _for_all(self, hashes: Iterable[str], ask: Callable[[str], T]) -> dict[str, T]:
        _ = self._remote  # opened by one thread
        wanted = list(dict.fromkeys(hashes))
        with ThreadPoolExecutor(JOBS) as pool:
            return dict(zip(wanted, pool.map(ask, wanted), strict=True))

    @cache  # noqa: B019  lives as long as one command
    def _held(self, md5: str) -> Held:
        try:
            info = self._remote.fs.info(self._remote.oid_to_path(md5))
        except FileNotFoundError:
            if self._remote.fs.protocol == "local" and not Path(self._remote.path).is_dir():
                place = Path(self._remote.path).parents[1]
                raise LineageError(
                    f"the DVC remote {place} is not there: nothing was pushed yet, or it is not mounted.",
                    remedy="`lineage data push` if nothing was pushed yet, or mount it",
                ) from None
            return Held(md5, None)
        except Exception as error:  # whatever a remote raises: their classes have nothing in common
            raise LineageError(f"{self.url(md5)} cannot be looked up: {reason_of(error)}") from error
        put = info.get("LastModified") or info.get("mtime")
        since = put.timestamp() if isinstance(put, datetime) else put if isinstance(put, int | float) else None
        return Held(md5, int(info.get("size") or 0), info.get("type") != "directory", since)

    @cache  # noqa: B019
    def rehash(self, md5: str) -> Hashed:
        """Reads an object of the remote and computes its hashes. Raises LineageError if it cannot be read."""
        md5_sum, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        try:
            with self._remote.fs.open(self._remote.oid_to_path(md5), "rb") as file:
                while chunk := file.read(1 << 20):
                    md5_sum.update(chunk)
                    sha256.update(chunk)
                    size += len(chunk)
        except Exception as error:
            raise LineageError(f"{self.url(md5)} cannot be read: {reason_of(error)}") from error
        return Hashed(md5, md5_sum.hexdigest(), sha256.hexdigest(), size)

    @cache  # noqa: B019
    def hash_cached(self, md5: str) -> Hashed | None:
        """Reads an object of the cache and computes its hashes; None if the cache has none of that name."""
        path = Path(self._cache.oid_to_path(md5))
        if path.is_dir():
            return Hashed(md5, "none: it is a folder", "", 0)
        return hash_file(path, md5) if path.exists() else None

    def fetch(self, md5: str, target: Path) -> Hashed:
        """Puts the bytes of an object at `target`: from the cache if they are right there, else from the remote.

        Raises LineageError, and leaves nothing, if neither holds the bytes that the name promises.
        """
        partial = target.with_name(f".{target.name}.partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        faults, kind = [], LineageError
        try:
            for place, copy in self._places(md5):
                try:
                    copy(partial)
                except Exception as error:  # whatever a remote raises: their classes have nothing in common
                    faults.append(f"{place} does not give it: {reason_of(error)}")
                    continue
                found = hash_file(partial, target.name)
                if found.md5 == _plain(md5):
                    partial.replace(target)
                    return found
                faults.append(f"{place} holds other bytes (MD5 {found.md5})")
                kind = DamageError
        finally:
            partial.unlink(missing_ok=True)
        raise kind(f"object {md5} cannot be had: {'; '.join(faults)}.")

    @contextmanager
    def open(self, md5: str) -> Iterator[Any]:
        """An object to read parts of, from the cache or else the remote. Its hash is not computed: see `fetch`.

        Raises LineageError if it cannot be read.
        """
        cached = self.cached(md5)
        try:
            with cached.open("rb") if cached else self._remote.fs.open(self._remote.oid_to_path(md5), "rb") as file:
                yield file
        except Exception as error:
            raise LineageError(f"object {md5} cannot be read: {reason_of(error)}") from error

    def _places(self, md5: str) -> Iterator[tuple[str, Callable[[Path], object]]]:
        """Where the object may lie, and how it is copied from there to a path."""
        cached = self.cached(md5)
        if cached is not None:
            yield str(cached), lambda target: shutil.copyfile(cached, target)
        yield self.url(md5), lambda target: self._remote.fs.get_file(self._remote.oid_to_path(md5), str(target))

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

    def keep(self, path: Path, content: Content) -> None:
        """Puts what lies at `path` into the remote, by hash, where it is not there yet; a folder's listing comes last.

        Raises LineageError if the remote does not take it.
        """
        files = {file.md5: path / file.path if path.is_dir() else path for file in content.files}
        missing = [md5 for md5, held in self.held(files).items() if held.size is None]
        self._for_all(missing, lambda md5: self._put(md5, files[md5].read_bytes()))
        if content.md5.endswith(".dir") and self.held([content.md5])[content.md5].size is None:
            self._put(content.md5, listing({file.path: file.md5 for file in content.files}))

    def send(self, md5: str, without: set[str]) -> tuple[int, int]:
        """Copies an object, and those of a folder, from the cache into the remote where it lacks them.

        Those in `without` are left out. Returns how many there are and how many were copied; a folder's listing comes
        last. Raises LineageError if one is in neither, or the remote does not take it.
        """
        wanted = [*(self.listing(md5).values() if md5.endswith(".dir") else ()), md5]
        wanted = [name for name in wanted if name not in without]
        missing = [name for name, held in self.held(wanted).items() if held.size is None]
        self._for_all([name for name in missing if name != md5], self._send)
        if md5 in missing:
            self._send(md5)
        return len(dict.fromkeys(wanted)), len(missing)

    def _send(self, md5: str) -> None:
        cached = self.cached(md5)
        if cached is None:
            raise LineageError(f"object {md5} is not in the cache here. Where it is, `lineage data push` brings it.")
        data = cached.read_bytes()
        if hash_bytes(data, md5).md5 != _plain(md5):
            raise DamageError(f"{cached} does not match its hash. Delete it; `dvc repro` recreates it.")
        self._put(md5, data)

    def _put(self, md5: str, data: bytes) -> None:
        place = self._remote.oid_to_path(md5)
        try:
            if self._remote.fs.protocol != "local":  # there, an object is whole or not there
                self._remote.fs.pipe_file(place, data)
                return
            partial = Path(f"{place}.{threading.get_ident()}.partial")
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(place)
        except Exception as error:
            raise LineageError(f"{self.url(md5)} cannot be written: {reason_of(error)}") from error

    def verified(self, md5: str, scratch: Path) -> Path:
        """A file with the right bytes: the one in the cache, or one fetched into `scratch`. Raises as `fetch` does."""
        found, cached = self.hash_cached(md5), self.cached(md5)
        if found is not None and cached is not None and found.md5 == _plain(md5):
            return cached
        target = scratch / md5
        if not target.exists():
            self.fetch(md5, target)
        return target

    @cache  # noqa: B019
    def listing(self, md5: str) -> dict[str, str]:
        """The files of a folder: MD5 by path. `md5` ends in `.dir`. Raises LineageError as `fetch` does."""
        return parse_listing(self.read(md5), md5)

    def read(self, md5: str) -> bytes:
        """The bytes of a small object. Raises LineageError if neither cache nor remote holds the right ones."""
        cached = self.cached(md5)
        if cached is not None:
            data = cached.read_bytes()
            if hash_bytes(data, md5).md5 == _plain(md5):
                return data
        try:
            with self._remote.fs.open(self._remote.oid_to_path(md5), "rb") as file:
                data = file.read()
        except Exception as error:
            wrong = f"{cached} holds other bytes, and " if cached else ""
            raise LineageError(f"object {md5}: {wrong}the remote does not give it: {reason_of(error)}") from error
        if hash_bytes(data, md5).md5 != _plain(md5):
            raise DamageError(f"{self.url(md5)} holds other bytes (MD5 {hash_bytes(data, md5).md5}).")
        return bytes(data)


def parse_listing(data: bytes, md5: str) -> dict[str, str]:
    """The files that DVC's object for a folder lists: MD5 by path.

    Raises DamageError if it is none, or names what no folder can hold: whoever can write to a remote can write it.
    """
    try:
        entries = parse(data)
    except ValueError as error:
        raise DamageError(f"the listing {md5} cannot be read: {error}.") from None
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise DamageError(f"the listing {md5} is not one of DVC's.")
    files = {entry["relpath"]: entry["md5"] for entry in entries}
    if len(files) < len(entries):
        raise DamageError(f"the listing {md5} names a file twice.")
    folders: set[str] = set()
    for name in files:
        parts = name.split("/")
        if "\0" in name or any(part in {"", ".", ".."} for part in parts):
            raise DamageError(f"the listing {md5} names {name!r}, which lies outside of its folder.")
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    if both := folders & files.keys():
        raise DamageError(f"the listing {md5} names {min(both)!r} as a file and as a folder.")
    return files


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("relpath"), str):
        return False
    return isinstance(entry.get("md5"), str) and PLAIN.fullmatch(entry["md5"]) is not None


def _plain(md5: str) -> str:
    return md5.removesuffix(".dir")
