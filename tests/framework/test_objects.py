from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lineage.dvc.hashes import hash_path
from lineage.dvc.objects import Objects
from lineage.dvc.places import Places
from lineage.dvc.upload import upload_cached, upload_path
from lineage.erasure.copies import Copy, delete


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    """Of a project with a cache and a remote, both empty folders."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (tmp_path / "remote" / "files" / "md5").mkdir(parents=True)
    (root / ".dvc" / "config").write_text(
        f"[core]\n    remote = storage\n    no_scm = true\n['remote \"storage\"']\n    url = {tmp_path}/remote\n"
    )
    return Objects(Places(root))


def sizes(objects: Objects, *hashes: str) -> list[int | None]:
    return [objects.held([md5])[md5].size for md5 in hashes]


def test_what_was_uploaded_is_there_for_who_asked_before(objects: Objects, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "scan").write_bytes(b"pixels")
    content = hash_path(folder)
    hashes = [content.md5, content.files[0].md5]
    assert sizes(objects, *hashes) == [None, None]
    upload_path(objects, folder, content)
    listed, file = sizes(objects, *hashes)
    assert listed and file == len(b"pixels")


def test_what_was_deleted_is_gone_for_who_asked_before(objects: Objects, tmp_path: Path) -> None:
    file = tmp_path / "scan"
    file.write_bytes(b"pixels")
    md5 = hash_path(file).md5
    upload_path(objects, file, hash_path(file))
    assert objects.cache_all([md5]) == [md5]
    found = objects.hash_cached(md5)
    assert (sizes(objects, md5), objects.rehash(md5).md5, found and found.md5) == ([6], md5, md5)

    evidence = cast(Any, SimpleNamespace(places=objects.places, objects=objects))
    delete(evidence, Copy("remote", objects.places.remote_path(md5), "scan"))
    assert sizes(objects, md5) == [None]
    with pytest.raises(Exception, match="cannot be read"):
        objects.rehash(md5)
    delete(evidence, Copy("file", str(objects.places.cache_path(md5)), "scan"))
    assert objects.hash_cached(md5) is None
    assert objects.is_missing(md5)


def test_what_came_into_the_cache_is_read_by_who_asked_before(objects: Objects, tmp_path: Path) -> None:
    file = tmp_path / "scan"
    file.write_bytes(b"pixels")
    md5 = hash_path(file).md5
    upload_path(objects, file, hash_path(file))
    assert objects.hash_cached(md5) is None
    objects.cache_all([md5])
    found = objects.hash_cached(md5)
    assert found is not None and found.md5 == md5
    assert upload_cached(objects, md5, set()) == (1, 0)
