from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from lineage.base import hash_cache
from lineage.base.hash_cache import SETTLED, HashCache, signature


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(b"one")
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def looks(kept: Path, file: Path) -> str:
    cache = HashCache(kept, "sha256")
    found = cache.of(file)
    cache.save()
    return found


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets so much time pass that a change would be told from this moment."""
    later = time.time_ns() + 2 * SETTLED
    monkeypatch.setattr(time, "time_ns", lambda: later)


def test_a_change_in_the_same_moment_is_seen(tmp_path: Path, file: Path) -> None:
    assert looks(tmp_path / "kept", file) == sha256(b"one")
    stat = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert looks(tmp_path / "kept", file) == sha256(b"two")


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    assert looks(tmp_path / "kept", file) == sha256(b"one")
    cache = HashCache(tmp_path / "kept", "sha256")
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was read"))
    assert cache.of(file) == sha256(b"one")


@pytest.mark.parametrize("data", [b"two", b"three"])
def test_what_has_changed_is_read_again(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    settle(monkeypatch)
    looks(tmp_path / "kept", file)
    stat = file.stat()
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the time of the change itself cannot be set
    assert looks(tmp_path / "kept", file) == sha256(data)


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"\xff"])
def test_what_was_kept_may_be_lost(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    settle(monkeypatch)
    looks(tmp_path / "kept", file)
    (tmp_path / "kept").write_bytes(damage)
    assert looks(tmp_path / "kept", file) == sha256(b"one")


def test_no_path_is_kept(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    looks(tmp_path / "kept", file)
    assert "image" not in (tmp_path / "kept").read_text()


def test_others_stay_only_where_they_are_to(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    kept = tmp_path / "kept"
    looks(kept, file)
    cache = HashCache(kept, "sha256")
    cache.save(others=True)
    assert len(json.loads(kept.read_text())) == 1
    cache.save()
    assert json.loads(kept.read_text()) == {}


def test_a_note_that_was_put_there_is_not_believed(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    kept = tmp_path / "kept"
    looks(kept, file)
    ((key, noted),) = json.loads(kept.read_text()).items()
    wrong = sha256(b"what it should have")
    for forged in (wrong, f"{wrong}:{noted.partition(':')[2]}", f"{wrong}:", f"{wrong}:{'0' * 32}", 7, None, [noted]):
        kept.write_text(json.dumps({key: forged}))
        assert looks(kept, file) == sha256(b"one")


def test_a_note_of_another_user_is_not_believed(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    looks(tmp_path / "kept", file)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    hash_cache._key.cache_clear()
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: hashlib.sha256(b"read"))
    assert looks(tmp_path / "kept", file) == sha256(b"read")
    hash_cache._key.cache_clear()


def test_without_a_home_notes_last_as_long_as_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    hash_cache._key.cache_clear()
    assert signature("a", "b") == signature("a", "b") != signature("ab", "")
    hash_cache._key.cache_clear()


def test_notes_that_cannot_be_written_stop_nobody(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    (tmp_path / "kept").mkdir()
    assert looks(tmp_path / "kept", file) == sha256(b"one")
    assert looks(file / "kept", file) == sha256(b"one")
    assert sorted(tmp_path.iterdir()) == [file, tmp_path / "kept"]
