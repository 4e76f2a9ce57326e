"""What lies in the cache and in the remote: each object with its size and its age, and how much there is of others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ..base.denied import reason_of
from ..base.errors import LineageError
from ..dvc.places import Places

Place = Literal["cache", "remote"]
FOLDER, FILE = re.compile(r"[0-9a-f]{2}"), re.compile(r"[0-9a-f]{30}(\.dir)?")


@dataclass(frozen=True)
class Stored:
    """One object in one place."""

    md5: str
    place: Place
    path: str  # on this machine, or in the remote's file system
    size: int  # bytes
    since: float | None  # when it was put there, in seconds since 1970; None if nobody says


@dataclass
class Inventory:
    """All objects of one place."""

    place: Place
    url: str
    objects: list[Stored] = field(default_factory=list)
    strangers: int = 0  # files that are none of DVC's: they stay


def in_cache(places: Places) -> Inventory:
    """What the cache of this project holds."""
    root = places.cache_root
    return _sorted(Inventory("cache", str(root)), root.as_posix(), _walked(root))


def in_remote(places: Places) -> Inventory:
    """What the default remote holds. Raises LineageError if it cannot be listed."""
    remote, files = places.remote, places.remote_files
    if (folder := places.absent_remote) is not None:
        raise LineageError(f"the DVC remote {folder} is not there: nothing was pushed yet, or it is not mounted.")
    found = Inventory("remote", places.remote_url)
    try:
        if files.protocol == "local":
            return _sorted(found, str(remote.path), _walked(Path(remote.path)))
        if files.protocol == "s3":
            return _sorted(found, str(remote.path), _of_bucket(files, str(remote.path)))
        return _sorted(found, str(remote.path), _of_others(files, str(remote.path)))
    except LineageError:
        raise
    except Exception as error:  # whatever a remote raises: their classes have nothing in common
        raise LineageError(f"{places.remote_url} cannot be listed: {reason_of(error)}") from error


def _sorted(found: Inventory, root: str, files: Iterator[tuple[str, int, float | None]]) -> Inventory:
    """Tells DVC's objects from other files, by where they lie and what they are called."""
    for path, size, since in files:
        folder, _, name = path.removeprefix(root).lstrip("/").partition("/")
        if FOLDER.fullmatch(folder) and FILE.fullmatch(name):
            found.objects.append(Stored(f"{folder}{name}", found.place, path, size, since))
        else:
            found.strangers += 1
    return found


def _walked(root: Path) -> Iterator[tuple[str, int, float | None]]:
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink() and path.is_file():
                stat = path.stat()
                # a copy may keep the time of what it is a copy of: when it came here is what counts
                yield path.as_posix(), stat.st_size, max(stat.st_mtime, stat.st_ctime)


def _of_bucket(files: Any, folder: str) -> Iterator[tuple[str, int, float | None]]:
    bucket, _, prefix = folder.partition("/")
    further = dict[str, str]()
    while True:
        answer = files.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=f"{prefix}/", **further)
        for item in answer.get("Contents", []):
            yield f"{bucket}/{item['Key']}", int(item["Size"]), item["LastModified"].timestamp()
        if not answer.get("IsTruncated"):
            return
        further = {"ContinuationToken": answer["NextContinuationToken"]}


def _of_others(files: Any, folder: str) -> Iterator[tuple[str, int, float | None]]:
    files.fs.invalidate_cache()
    for path, info in files.fs.find(folder, detail=True).items():
        put = info.get("LastModified") or info.get("last_modified") or info.get("updated") or info.get("mtime")
        since = put.timestamp() if isinstance(put, datetime) else put if isinstance(put, int | float) else None
        yield path, int(info.get("size") or 0), since
