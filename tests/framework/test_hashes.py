from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lineage.dvc.hashes import CHUNK, hash_path, sha256_of_json

# sorted as text, by the parts of the path and without regard to case these are three different orders
NAMES = (
    "a/b",
    "a-b",
    "a.b",
    "a b",
    "a/c/d.txt",
    "a/c-d.txt",
    "a/c.d",
    "A",
    "Z/z",
    "_",
    "é.txt",
    "ü/ß/日本.png",
    "ü/ß-日本.png",
    "ü.png",
    '"quoted" \\ name',
    "😀",
    "empty",
)


def fill(folder: Path) -> Path:
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty" else f"content of {name}".encode())
    (folder / "no files in here").mkdir()
    return folder


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project to which folders, a file and a file of several chunks were added, less what it ignores."""
    project = tmp_path_factory.mktemp("project")
    (project / ".dvcignore").write_text("*.skip\n/folder/left/\nouter/inner/deep\n/empty\n")
    for name in ("folder/a.skip", "folder/left/b", "outer/inner/deep/c", "outer/inner/kept", "outer/inner/here/d"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    (project / "outer" / ".dvcignore").write_text("/inner/here/\n/kept\n")
    fill(project / "folder")
    (project / "one.bin").write_bytes(bytes(range(256)))
    (project / "large.bin").write_bytes(bytes(range(256)) * (CHUNK // 256 * 2 + 1))
    for command in (["init", "--no-scm"], ["add", "folder", "outer/inner", "one.bin", "large.bin"]):
        subprocess.run([sys.executable, "-m", "dvc", *command, "--quiet"], cwd=project, check=True)
    return project


@pytest.mark.parametrize("name", ["folder", "outer/inner", "one.bin", "large.bin"])
def test_the_hash_is_the_one_that_dvc_records(added: Path, name: str) -> None:
    [recorded] = yaml.safe_load((added / f"{name}.dvc").read_text(encoding="utf-8"))["outs"]
    content = hash_path(added / name)
    assert content.md5 == recorded["md5"]
    assert content.size == recorded["size"]
    assert len(content.files) == recorded.get("nfiles", 1)


def test_a_folder_lists_each_file_with_its_own_hashes(tmp_path: Path) -> None:
    content = hash_path(fill(tmp_path / "folder"))
    assert {file.path for file in content.files} == set(NAMES)
    for file in content.files:
        data = (tmp_path / "folder" / file.path).read_bytes()
        assert file.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
        assert file.sha256 == hashlib.sha256(data).hexdigest()
        assert file.size == len(data)


@pytest.mark.parametrize("change", ["content", "name", "new file", "removed file"])
def test_every_change_shows_in_both_hashes(tmp_path: Path, change: str) -> None:
    folder = fill(tmp_path / "folder")
    before = hash_path(folder)
    if change == "content":
        (folder / "a/b").write_bytes(b"content of a/B")
    elif change == "name":
        (folder / "a/b").rename(folder / "a/e")
    elif change == "new file":
        (folder / "new").write_bytes(b"")
    else:
        (folder / "empty").unlink()
    after = hash_path(folder)
    assert before.md5 != after.md5
    assert before.sha256 != after.sha256


def test_what_is_not_there_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hash_path(tmp_path / "nowhere")


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_the_order_of_keys_does_not_change_the_hash_of_json(value: dict[str, int | str]) -> None:
    assert sha256_of_json(value) == sha256_of_json(dict(reversed(value.items())))


def test_the_form_of_json_that_is_hashed_is_fixed() -> None:
    expected = hashlib.sha256('{"a":[1,"ä"],"b":null}'.encode()).hexdigest()
    assert sha256_of_json({"b": None, "a": [1, "ä"]}) == expected
