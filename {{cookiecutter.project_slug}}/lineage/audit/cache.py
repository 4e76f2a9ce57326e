"""What audits keep between each other in .dvc/tmp/kept/audit: manifests of a distant remote, notes, an index.

Whatever is in it may be deleted. A manifest whose hash was right need not be hashed again as long as its file has not
changed; whoever reads a part of it compares the checksums of the pages that this part is in. What was checked is signed
(base/hash_cache.py): a note that somebody else has written counts for nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from ..base.hash_cache import SETTLED, HashCache, signature
from ..base.pages import write_whole
from ..dvc.objects import Objects
from .index import Index
from .index_builder import Builder
from .index_file import FOLDER, Version, state_of

AGREES = "its manifest and its statistics agree with its shards"


class AuditCache:
    """The folder. `save` writes down what was checked."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        self._folder = folder
        self._objects = objects
        self._agreeing = folder / "agreeing.json"
        self._hashed: dict[str, tuple[Path, Version]] = {}  # by the hash of the manifest
        self.index = Index(folder / FOLDER, objects.places.cache_root, folder)

    @cached_property
    def _hashes(self) -> HashCache:
        return HashCache(self._folder / "hashes.json", "md5")

    @cached_property
    def _agree(self) -> set[str]:
        return self._read()

    def file(self, md5: str) -> Path:
        """A file with the bytes of an object. Raises LineageError if neither cache nor remote holds the right ones."""
        kept = self._folder / md5
        for path in filter(None, (self._objects.cached(md5), kept if kept.exists() else None)):
            state, now = state_of(str(path)), time.time_ns()
            if self._hashes.of(path) == md5:
                if state is not None and now - max(state[-2:]) > SETTLED:  # or else a change may look like none
                    self._hashed[md5] = path, Version(md5, path != kept, state)
                return path
        self._objects.fetch(md5, kept)
        return kept

    def agrees_with_shards(self, dataset: str) -> bool:
        """Whether the manifest of a dataset version was found to hold what its shards hold."""
        return dataset in self._agree  # by hash: neither of them can have changed

    def note_agreement(self, dataset: str) -> None:
        self._agree.add(dataset)

    def add_to_index(self, manifests: dict[str, str], wanted: Iterable[str], never: set[str]) -> None:
        """Adds dataset versions, each with its manifest, which `file` gave and which agrees with its shards.

        `wanted` are all that are asked for, `never` those of which something was erased.
        """
        new = {dataset: self._hashed[md5] for dataset, md5 in manifests.items() if md5 in self._hashed}
        if new or self.index.contents.versions.keys() & never:
            with Builder(self._folder / FOLDER, self._objects.places.cache_root) as builder:
                builder.make_room(wanted, never)
                for dataset, (path, version) in new.items():
                    builder.add(dataset, path, version)
            self.index = Index(self._folder / FOLDER, self._objects.places.cache_root, self._folder)

    def save(self) -> None:
        """Writes down what was checked, for the audits to come, if it can be written."""
        self._hashes.save(others=True)  # the next audit may ask for other dataset versions
        if self._agree != self._read():
            signed = {dataset: signature(AGREES, dataset) for dataset in sorted(self._agree)}
            with suppress(OSError):  # where nothing can be written, the next audit checks again
                self._folder.mkdir(parents=True, exist_ok=True)
                write_whole(self._agreeing, json.dumps(signed, indent=1))

    def _read(self) -> set[str]:
        try:
            noted = dict(json.loads(self._agreeing.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return set()
        return {dataset for dataset, signed in noted.items() if signed == signature(AGREES, dataset)}
