from __future__ import annotations

from pathlib import Path

import pytest
from project.data.sources import Place, image_folder
from project.data.sources.places import Folder
from project.errors import DataError
from project.settings.data import ImageFolderSource


def test_a_folder_that_changes_while_it_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DVC versions the folder, it hashes it after the stage: what was read before would count as that."""
    photos, raw = tmp_path / "photos" / "cat", tmp_path / "raw"
    photos.mkdir(parents=True)
    raw.mkdir()
    for name in ("a.png", "b.png"):
        (photos / name).write_bytes(b"one")
    read = Folder.read

    def read_and_change(self: Folder, path: str) -> tuple[bytes, str]:
        found = read(self, path)
        (photos / "a.png").write_bytes(b"two")
        return found

    path = str(photos.parent)
    settings = ImageFolderSource(name="image_folder", path=path, table=None, subject=None, splits="refuse")
    place = Place(raw, tmp_path / "kept", tmp_path, None)
    image_folder.fetch(settings, place)
    monkeypatch.setattr(Folder, "read", read_and_change)
    with pytest.raises(DataError, match="changed while it was read"):
        image_folder.fetch(settings, place)
