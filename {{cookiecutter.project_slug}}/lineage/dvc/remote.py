"""DVC's configuration, and its cache and remote as they lie on disk: asking dvc for objects costs over a second."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import ProjectError
from .dvcfile import Lock, Pipeline, kept_outs

PLACE = ("endpointurl", "region", "use_ssl", "ssl_verify", "sse", "sse_kms_key_id", "acl")


@dataclass(frozen=True)
class KnownObjects:
    """Hashes of objects, and the folders whose listing is not at hand, so that their files are not known."""

    known: frozenset[str]
    unlisted: list[str]


@dataclass(frozen=True)
class Remote:
    """The default DVC remote. `folder` is None unless it is a local one."""

    name: str
    url: str
    folder: Path | None
    is_absolute: bool
    place: dict[str, str] = field(default_factory=dict)  # how an S3 remote is found, where not at AWS; no secrets

    @classmethod
    def of(cls, root: Path) -> Remote | None:
        """The default remote of the project at `root`, as DVC finds it.

        Raises ProjectError if DVC's configuration cannot be read.
        """
        config = read_config(root)
        name = str(config["core"].get("remote") or "").lower()  # as dvc has the names of all remotes
        section = config["remote"].get(name)
        if not section or not section.get("url"):
            return None
        url = str(section["url"])
        if "://" in url and not url.startswith("file://"):
            return cls(name, url, None, True, {key: section[key] for key in PLACE if key in section})
        folder = Path(url.removeprefix("file://")).expanduser()
        is_absolute = type(section["url"]).__name__ != "RelPath"  # dvc's mark on one that it has made absolute
        return cls(name, url, folder.resolve(), is_absolute)

    def missing(self, hashes: frozenset[str]) -> frozenset[str] | None:
        """Those of `hashes` that a local remote does not hold; None if the remote is not local."""
        if self.folder is None:
            return None
        folder = self.folder
        return frozenset(md5 for md5 in hashes if not object_path(folder, md5).exists())


class Storage:
    """The objects that dvc.lock records, and the cache of this project."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cache = cache_folder(root)
        self._remote = Remote.of(root)

    def objects_of(self, pipeline: Pipeline, lock: Lock) -> KnownObjects:
        """All objects that the outputs in `lock` consist of: files, folder listings, files in folders."""
        known: set[str] = set()
        unlisted: list[str] = []
        # dvc.lock can have more: instances of `foreach` that are switched off now, which dvc does not push either
        for out in (out for stage in pipeline.stages.values() for out in kept_outs(stage, lock)):
            known.add(out["md5"])
            if out["md5"].endswith(".dir"):
                listing = self._listing(out["md5"])
                known.update(listing or ())
                if listing is None:
                    unlisted.append(out["path"])
        return KnownObjects(frozenset(known), unlisted)

    def _listing(self, md5: str) -> list[str] | None:
        folders = [self._cache, *([self._remote.folder] if self._remote and self._remote.folder else [])]
        for folder in folders:
            path = object_path(folder, md5)
            if path.exists():
                return [entry["md5"] for entry in json.loads(path.read_text(encoding="utf-8"))]
        return None


def place_of_url(url: str, folder: Path) -> str:
    """The address of a remote, comparable with others: a local one is relative to the folder of DVC's configuration."""
    if "://" in url and not url.startswith("file://"):
        return url.rstrip("/")
    return str(folder.joinpath(Path(url.removeprefix("file://")).expanduser()).resolve())


def object_path(folder: Path, md5: str) -> Path:
    """Where DVC keeps an object in a cache or local remote."""
    return folder / "files" / "md5" / md5[:2] / md5[2:]


def cache_folder(root: Path) -> Path:
    """DVC's cache for the project at `root`."""
    return Path(read_config(root)["cache"].get("dir") or root / ".dvc" / "cache").resolve()


def read_config(root: Path) -> dict[str, Any]:
    """DVC's own reading of its configuration: of the system, the user, the project and this clone, in this order.

    Raises ProjectError if a file of it cannot be read.
    """
    from dvc.config import Config, ConfigError

    try:
        return dict(Config(str(root / ".dvc"), validate=False))  # checking it imports as much again
    except (ConfigError, OSError) as error:
        raise ProjectError(f"DVC's configuration cannot be read: {error}. `dvc config --list --show-origin`") from None
