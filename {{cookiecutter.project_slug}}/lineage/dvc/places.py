"""Where DVC keeps the objects of a project: its cache and its remotes, opened by DVC itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..base.errors import LineageError

if TYPE_CHECKING:
    from dvc.repo import Repo

T = TypeVar("T")
JOBS = 16  # remotes answer slowly and in parallel


@dataclass(frozen=True)
class _Configured:
    """What of a repository DVC needs to open a remote of it."""

    root: Path
    config: Any
    site_cache_dir: None = None  # where DVC would note what it has seen in the remote
    data_index: None = None

    def __str__(self) -> str:
        return str(self.root)


class Places:
    """The cache and the remotes of the project at `root`. DVC opens each of them once, when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def _repo(self) -> Repo:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            return Repo(str(self._root))
        except DvcException as error:
            raise LineageError(f"DVC cannot open {self._root}: {error}") from error

    @cached_property
    def _config(self) -> Any:
        """DVC's configuration, checked by DVC. What needs no more than this opens no repository, which takes longer."""
        from dvc.config import Config, ConfigError

        if not (self._root / ".dvc").is_dir():
            return self._repo.config  # which says what is wrong
        try:
            return Config(str(self._root / ".dvc"))
        except ConfigError as error:
            raise LineageError(f"DVC cannot open {self._root}: {error}") from error

    @cached_property
    def cache_root(self) -> Path:
        """The folder below which each object of the cache lies, at the first two digits of its hash and the others."""
        section = self._config["cache"]
        if "local" in section:  # the name of a remote, as DVC once had it
            return Path(self._repo.cache.local.path)
        return Path(section.get("dir") or self._root / ".dvc" / "cache").absolute() / "files" / "md5"

    @cached_property
    def remote(self) -> Any:
        """The objects of the default remote, as DVC has them. Raises LineageError if the project has none."""
        from dvc.data_cloud import DataCloud
        from dvc.exceptions import DvcException

        try:
            return DataCloud(_Configured(self._root, self._config)).get_remote_odb()
        except DvcException as error:
            raise LineageError(f"the DVC remote cannot be used: {error}") from error

    @property
    def remote_or_none(self) -> Any:
        """The default remote, opened; None if the project has none that can be used."""
        try:
            return self.remote
        except LineageError:
            return None

    @property
    def remote_files(self) -> Any:
        """The file system of the default remote, as fsspec has it. Raises LineageError if the project has none."""
        return self.remote.fs

    def remote_path(self, md5: str) -> str:
        """Where an object lies in that file system."""
        return str(self.remote.oid_to_path(md5))

    @cached_property
    def remote_url(self) -> str:
        """Where the default remote keeps objects. Raises LineageError if the project has none."""
        return str(self.remote_files.unstrip_protocol(self.remote.path))

    def url(self, md5: str) -> str:
        """Where the default remote keeps one object."""
        return str(self.remote_files.unstrip_protocol(self.remote_path(md5)))

    @property
    def absent_remote(self) -> Path | None:
        """The folder of the default remote, if that is a local one and not there; else None."""
        folder = Path(self.remote.path)
        return folder.parents[1] if self.remote_files.protocol == "local" and not folder.is_dir() else None

    @property
    def other_remotes(self) -> dict[str, str]:
        """Remotes that DVC is configured with beside the default one: address by name."""
        config = self._config
        default = config["core"].get("remote")
        return {name: str(each.get("url")) for name, each in config["remote"].items() if name != default}

    def cache_path(self, md5: str) -> Path:
        """Where an object lies in the cache, if it is there."""
        return self.cache_root / md5[:2] / md5[2:]

    @property
    def cache_folder(self) -> Path:
        """Where DVC keeps its cache: objects, and what it knows of earlier executions."""
        return Path(self._repo.cache.local_cache_dir)

    @property
    def site_cache(self) -> Path:
        """Where DVC keeps what it knows of this project's files, outside of it."""
        return Path(self._repo.site_cache_dir)

    def for_all(self, hashes: Iterable[str], ask: Callable[[str], T]) -> dict[str, T]:
        """What `ask` answers for each of `hashes`, of several at the same time. The remote is opened before."""
        remote = self.remote
        with suppress(Exception):  # `ask` will meet the same, and say it
            _ = remote.fs.fs  # connected by one thread: of several that wait for it, each would connect again
        wanted = list(dict.fromkeys(hashes))
        with ThreadPoolExecutor(JOBS) as pool:
            return dict(zip(wanted, pool.map(ask, wanted), strict=True))
