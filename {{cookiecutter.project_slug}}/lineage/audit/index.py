"""Subjects looked up in many dataset versions at once, without opening their manifests.

The key of a subject leads to the chunks of rows that have it, each kept once for all dataset versions with the same
rows; the ids themselves are compared there. An index is made of manifests whose hash was right and that agree with
their shards. Whatever of it is lost or damaged is noticed when it is read (index_file.py), and costs time alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from .chunks import Row, key_of, rows_with
from .index_file import LOCK, ROOT, DamagedIndexError, Version, forget, read_pages, read_root, read_rows, state_of


class Index:
    """The index in a folder, as it was when it was opened; `cache` is where DVC's cache is, `kept` the folder beside it
    in which audits keep manifests of a distant remote.
    """

    def __init__(self, folder: Path, cache: Path, kept: Path) -> None:
        self._folder = folder
        self._cache = str(cache)
        self._kept = str(kept)
        self.contents = read_root(folder)

    def unchanged(self, datasets: Iterable[str]) -> dict[str, Version]:
        """Those of some dataset versions that it knows, and whose manifest is the file that was hashed."""
        if self.contents.cache != self._cache:
            return {}
        known, found = self.contents.versions, dict[str, Version]()
        for dataset in datasets:
            version = known.get(dataset)
            if version is not None and state_of(self.path(version)) == version.state:
                found[dataset] = version
        return found

    def path(self, version: Version) -> str:
        """Where the manifest of a dataset version lies."""
        name = version.manifest
        return f"{self._cache}/{name[:2]}/{name[2:]}" if version.is_cached else f"{self._kept}/{name}"

    def rows_of(self, ids: Iterable[str]) -> dict[str, list[Row]]:
        """The rows of some subjects by dataset version, sorted; of all that it knows and that have any.

        Raises DamagedIndexError if something that it must read is not what was written.
        """
        hits = [hit for subject_id in dict.fromkeys(ids) for hit in self._hits(subject_id)]
        if not hits:
            return {}
        sets = self.contents.sets[self.contents.chunks["versions"][[chunk for chunk, _ in hits]]]
        held = np.unpackbits(sets, axis=1, count=len(self.contents.versions), bitorder="little").T
        lots: dict[bytes, list[Row]] = {}  # most dataset versions have them in the same chunks
        found = {}
        for dataset, which in zip(self.contents.versions, map(bytes, held), strict=True):
            if which not in lots:
                chosen = (rows for has, (_, rows) in zip(which, hits, strict=True) if has)
                lots[which] = sorted(row for rows in chosen for row in rows)
            if lots[which]:
                found[dataset] = lots[which]
        return found

    def _hits(self, subject_id: str) -> Iterator[tuple[int, list[Row]]]:
        """The chunks that have rows of a subject, with these."""
        key, firsts = key_of(subject_id), self.contents.pages["first"]
        wanted = np.uint64(key)
        begin, end = np.searchsorted(firsts, wanted, "left"), np.searchsorted(firsts, wanted, "right")
        for page in read_pages(self._folder, self.contents, range(max(int(begin) - 1, 0), int(end))):
            for chunk in page["chunk"][page["key"] == wanted].tolist():
                if rows := rows_with(*read_rows(self._folder, self.contents, chunk), subject_id):
                    yield chunk, rows

    def may_hold(self, ids: Iterable[str]) -> bool:
        """Whether its files may have rows of some subjects: those that it does not know, or that are damaged, may."""
        if not self._folder.is_dir():
            return False
        known = {ROOT, LOCK, self.contents.table, *self.contents.files}
        try:
            return any(path.name not in known for path in self.files) or any(map(self._has, ids))
        except DamagedIndexError:
            return True

    def _has(self, subject_id: str) -> bool:
        return any(True for _ in self._hits(subject_id))

    @property
    def files(self) -> list[Path]:
        """All that lies in its folder, but for the lock."""
        return sorted(path for path in self._folder.glob("*") if path.name != LOCK)

    def forget(self) -> None:
        """Makes the next audit start over, unless another one has replaced what this one knows."""
        if read_root(self._folder).signed == self.contents.signed:
            forget(self._folder)
