from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from project.data.sources import Place, image_folder
from project.data.sources.places import SETTLED, Folder, Marks
from project.errors import DataError
from project.settings.data import ImageFolderSource


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(b"one")
    return path


def mark(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def looks(kept: Path, file: Path) -> str:
    marks = Marks(kept)
    found = marks.of(file)
    marks.keep()
    return found


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets so much time pass that a change would be told from this moment."""
    later = time.time_ns() + 2 * SETTLED
    monkeypatch.setattr(time, "time_ns", lambda: later)


def test_a_change_in_the_same_moment_is_seen(tmp_path: Path, file: Path) -> None:
    assert looks(tmp_path / "kept", file) == mark(b"one")
    stat = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert looks(tmp_path / "kept", file) == mark(b"two")


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    assert looks(tmp_path / "kept", file) == mark(b"one")
    marks = Marks(tmp_path / "kept")
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was read"))
    assert marks.of(file) == mark(b"one")


@pytest.mark.parametrize("data", [b"two", b"three"])
def test_what_has_changed_is_read_again(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    settle(monkeypatch)
    looks(tmp_path / "kept", file)
    stat = file.stat()
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the time of the change itself cannot be set
    assert looks(tmp_path / "kept", file) == mark(data)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff"])
def test_what_was_kept_may_be_lost(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    settle(monkeypatch)
    looks(tmp_path / "kept", file)
    (tmp_path / "kept").write_bytes(damage)
    assert looks(tmp_path / "kept", file) == mark(b"one")


def test_no_path_is_kept(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    looks(tmp_path / "kept", file)
    assert "image" not in (tmp_path / "kept").read_text()


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

    settings = ImageFolderSource(name="image_folder", path=str(photos.parent), table=None, subject=None)
    place = Place(raw, tmp_path / "kept", tmp_path, None)
    image_folder.fetch(settings, place)
    monkeypatch.setattr(Folder, "read", read_and_change)
    with pytest.raises(DataError, match="changed while it was read"):
        image_folder.fetch(settings, place)
