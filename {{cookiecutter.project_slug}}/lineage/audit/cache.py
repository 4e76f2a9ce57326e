"""What audits keep between each other in .dvc/tmp/kept/audit: manifests of a distant remote, and what was checked.

Whatever is in it may be deleted. A manifest whose hash was right need not be hashed again as long as its file has not
changed; whoever reads a part of it compares the checksums of the pages that this part is in. What was checked is signed
(base/hash_cache.py): a note that somebody else has written counts for nothing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from ..base.hash_cache import HashCache, signature
from ..base.pages import write_whole
from ..dvc.objects import Objects

AGREES = "its manifest and its statistics agree with its shards"


class AuditCache:
    """The folder. `save` writes down what was checked."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        self._folder = folder
        self._objects = objects
        self._hashes = HashCache(folder / "hashes.json", "md5")
        self._agreeing = folder / "agreeing.json"
        self._agree = self._read()
        self._before = set(self._agree)

    def file(self, md5: str) -> Path:
        """A file with the bytes of an object. Raises LineageError if neither cache nor remote holds the right ones."""
        kept = self._folder / md5
        for path in filter(None, (self._objects.cached(md5), kept if kept.exists() else None)):
            if self._hashes.of(path) == md5:
                return path
        self._objects.fetch(md5, kept)
        return kept

    def agrees_with_shards(self, dataset: str) -> bool:
        """Whether the manifest of a dataset version was found to hold what its shards hold."""
        return dataset in self._agree  # by hash: neither of them can have changed

    def note_agreement(self, dataset: str) -> None:
        self._agree.add(dataset)

    def save(self) -> None:
        """Writes down what was checked, for the audits to come, if it can be written."""
        self._hashes.save(others=True)  # the next audit may ask for other dataset versions
        if self._agree != self._before:
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
