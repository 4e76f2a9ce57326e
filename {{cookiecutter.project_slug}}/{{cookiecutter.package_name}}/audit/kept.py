"""What audits keep between each other in .dvc/tmp/kept/audit: manifests of a distant remote, and what was checked.

Whatever is in it may be deleted. A manifest whose hash was right need not be hashed again as long as its file is the
same by size, times and inode; whoever reads a part of it compares the checksums of the pages that this part is in.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from ..lineage.hashes import md5_of_file
from ..pages import write_whole
from ..proof.objects import Objects

CHECKED = "checked.json"
SETTLED = 2.0  # seconds: a file that was changed just now could change again and keep its times


class Kept:
    """The folder. `save` writes down what was checked."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        self._folder = folder
        self._objects = objects
        self._checked = self._read()
        self._before = dict(self._checked)

    def file(self, md5: str) -> Path:
        """A file with the bytes of an object. Raises LineageError if neither cache nor remote holds the right ones."""
        kept = self._folder / md5
        for path in filter(None, (self._objects.cached(md5), kept if kept.exists() else None)):
            if self._is_right(md5, path):
                return path
        self._objects.fetch(md5, kept)
        return kept

    def agrees_with_shards(self, dataset: str) -> bool:
        """Whether the manifest of a dataset version was found to hold what its shards hold."""
        return dataset in self._checked  # by hash: neither of them can have changed

    def note_agreement(self, dataset: str) -> None:
        self._checked[dataset] = []

    def save(self) -> None:
        """Writes down what was checked, for the audits to come."""
        if self._checked != self._before:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / CHECKED, json.dumps(self._checked, indent=1))

    def _is_right(self, md5: str, path: Path) -> bool:
        state = path.stat()
        signs = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
        if self._checked.get(md5) == signs:
            return True
        if md5_of_file(path) != md5:
            return False
        if time.time() - state.st_ctime > SETTLED:
            self._checked[md5] = signs
        return True

    def _read(self) -> dict[str, list[int]]:
        try:
            return dict(json.loads((self._folder / CHECKED).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}
