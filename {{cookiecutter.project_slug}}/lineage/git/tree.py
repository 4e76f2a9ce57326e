"""The content of one commit: the project's files, and what dvc.lock, dvc.yaml, lineage.json and others of them say."""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import PurePosixPath
from typing import Any

from ..base.errors import LineageError
from ..base.strict_json import parse
from ..base.yaml12 import parse_mapping
from ..dvc.dvcfile import DVC_LOCK, DVC_YAML, PARAMS_FILE, Lock, Pipeline, parse_pipeline
from ..dvc.hashes import Hashed, hash_bytes, md5_of_listing
from ..dvc.ignore import DVCIGNORE, Ignored
from ..dvc.recorded import Recorded
from .blobs import SUBMODULE, Blobs, Entry

LINEAGE = "lineage.json"


class Tree:
    """The project as one commit holds it. `History.at` gives it: everything is read once, however many ask.

    Paths are relative to the project. A commit that does not exist holds nothing.
    """

    def __init__(self, blobs: Blobs, prefix: str, commit: str) -> None:
        self._blobs = blobs
        self._prefix = prefix
        self._commit = commit

    def read(self, path: str) -> bytes | None:
        """The content of a file; None if there is none."""
        return self._blobs.at(self._commit, f"{self._prefix}{path}")

    @cached_property
    def lock(self) -> Lock:
        """The stages of dvc.lock; empty if there is none or one that cannot be read."""
        return _stages(self.read(DVC_LOCK))

    @cached_property
    def pipeline(self) -> Pipeline:
        """dvc.yaml; without stages if there is none or one that cannot be read."""
        return parse_pipeline(parse_mapping(self.read(DVC_YAML)), self.params(PARAMS_FILE))

    @cached_property
    def recorded(self) -> Recorded:
        """dvc.lock and dvc.yaml, by roles."""
        return Recorded(self.lock, self.pipeline)

    @cached_property
    def document(self) -> dict[str, Any] | None:
        """lineage.json; None if there is none that can be read."""
        try:
            document = parse(self.read(LINEAGE) or b"")
        except ValueError:
            return None
        return document if isinstance(document, dict) and document.get("model") else None

    @cache  # noqa: B019  lives as long as one command
    def params(self, path: str) -> dict[str, Any]:
        """A file of parameters; empty if there is none that can be read."""
        return parse_mapping(self.read(path))

    @cached_property
    def added(self) -> dict[str, str]:
        """What `dvc add` and `dvc import-url` keep: hash by path, from the .dvc files."""
        found = {}
        for file in (name for name in self._files if name.endswith(".dvc")):
            for out in self.params(file).get("outs") or []:
                if out.get("md5"):
                    found[(PurePosixPath(file).parent / out["path"]).as_posix()] = str(out["md5"])
        return found

    @cache  # noqa: B019
    def content(self, path: str) -> tuple[Hashed, ...] | None:
        """The files at or below `path`, as dvc would hash them; None if there are none.

        A file has its own name as path, a file of a folder its path in the folder. Raises LineageError for a submodule:
        its files are in another repository.
        """
        files = self._files
        if submodule := next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in files), None):
            raise LineageError(
                f"{path} is in the submodule {submodule}: its files are in no commit of this repository."
            )
        if path in files:
            return (_hashed(self._blobs, path, files[path], PurePosixPath(path).name),)
        ignored = self._ignored
        below = {name: entry for name, entry in files.items() if name.startswith(f"{path}/") and not ignored(name)}
        hashed = (_hashed(self._blobs, name, entry, name.removeprefix(f"{path}/")) for name, entry in below.items())
        return tuple(hashed) or None

    def md5(self, path: str) -> str | None:
        """The hash that dvc gives to a file or folder; None if there is none."""
        files = self.content(path)
        if files is None:
            return None
        return files[0].md5 if path in self._files else md5_of_listing({file.path: file.md5 for file in files})

    @cached_property
    def _files(self) -> dict[str, Entry]:
        """Files and submodules by path."""
        return self._blobs.files(self._commit, self._prefix)

    @cached_property
    def _ignored(self) -> Ignored:
        lists = [path for path in self._files if PurePosixPath(path).name == DVCIGNORE]
        return Ignored({path: (self.read(path) or b"").decode(errors="replace") for path in lists})


@cache
def _stages(data: bytes | None) -> Lock:
    """Read once for each content: most commits have the dvc.lock of the one before."""
    stages = parse_mapping(data).get("stages")
    return stages if isinstance(stages, dict) else {}


@cache
def _hashed(blobs: Blobs, path: str, entry: Entry, name: str) -> Hashed:
    """Hashed once for each object: most commits have the files of the one before."""
    if entry.mode == SUBMODULE:
        raise LineageError(f"{path} is a submodule: its files are in no commit of this repository.")
    return hash_bytes(blobs.get(entry.name), name)
