"""What folders consist of: as their listings say, and where a listing is gone, as a lineage.json does."""

from __future__ import annotations

from functools import cached_property

from ..base.errors import LineageError
from ..dvc.hashes import md5_of_listing
from ..proof.case import Evidence


class Folders:
    """The folders that DVC keeps as a listing and objects."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def listed(self, folders: list[str]) -> dict[str, list[str] | LineageError]:
        """The files of each folder, or why nobody knows them."""
        objects, places = self._evidence.objects, self._evidence.places

        def files_of(name: str) -> list[str] | LineageError:
            try:
                return list(objects.listing(name).values())
            except LineageError as error:
                return error

        if not self._has_remote:
            return {name: files_of(name) for name in folders}
        away = [name for name in folders if objects.cached(name) is None]
        there = {name for name, held in objects.held(away).items() if held.size is not None}
        gone: dict[str, list[str] | LineageError] = dict.fromkeys(set(away) - there, LineageError("it is nowhere"))
        return gone | places.for_all([name for name in folders if name not in gone], files_of)

    @cached_property
    def documented(self) -> dict[str, list[str]]:
        """The files of folders as a lineage.json lists them, where that list has the folder's hash."""
        found: dict[str, list[str]] = {}
        for document in self._evidence.git_models.documents:
            for name in ("dataset", "raw"):
                section = document.get(name)
                try:
                    files = {str(file["path"]): str(file["md5"]) for file in section["files"]}  # type: ignore[index]
                except (KeyError, TypeError):  # none of ours, or an older form of it
                    continue
                found[md5_of_listing(files)] = list(files.values())
        return found

    @cached_property
    def _has_remote(self) -> bool:
        places = self._evidence.places
        return places.remote_or_none is not None and places.absent_remote is None

    def is_nowhere(self, name: str) -> bool:
        """Whether neither the cache nor the remote has it."""
        objects = self._evidence.objects
        return objects.cached(name) is None and (not self._has_remote or objects.is_missing(name))
