"""DVC's cache and remote as they lie on disk. Read directly: asking dvc costs more than a second."""

from __future__ import annotations

import configparser
import json
from dataclasses import dataclass, field
from pathlib import Path

from ..pipeline.dvcfile import Lock, Pipeline, kept_outs

PLACE = ("endpointurl", "region", "use_ssl", "ssl_verify", "sse", "sse_kms_key_id", "acl")


@dataclass(frozen=True)
class Objects:
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
        """The default remote of the project at `root`; .dvc/config.local goes before .dvc/config."""
        config = _config(root)
        name = config.get("core", "remote", fallback=None)
        url = config.get(f"'remote \"{name}\"'", "url", fallback=None) if name else None
        if name is None or url is None:
            return None
        if "://" in url and not url.startswith("file://"):
            section = config[f"'remote \"{name}\"'"]
            return cls(name, url, None, True, {key: section[key] for key in PLACE if key in section})
        path = Path(url.removeprefix("file://")).expanduser()
        return cls(name, url, (root / ".dvc" / path).resolve(), path.is_absolute())

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
        configured = _config(root).get("cache", "dir", fallback="cache")
        self._cache = (root / ".dvc" / configured).resolve()
        self._remote = Remote.of(root)

    def objects_of(self, pipeline: Pipeline, lock: Lock) -> Objects:
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
        return Objects(frozenset(known), unlisted)

    def _listing(self, md5: str) -> list[str] | None:
        folders = [self._cache, *([self._remote.folder] if self._remote and self._remote.folder else [])]
        for folder in folders:
            path = object_path(folder, md5)
            if path.exists():
                return [entry["md5"] for entry in json.loads(path.read_text(encoding="utf-8"))]
        return None


def object_path(folder: Path, md5: str) -> Path:
    """Where DVC keeps an object in a cache or local remote."""
    return folder / "files" / "md5" / md5[:2] / md5[2:]


def _config(root: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    return config
