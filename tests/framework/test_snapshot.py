from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from lineage.base.errors import DispatchError
from lineage.compute import confidential
from lineage.compute.snapshot import Snapshot
from lineage.dvc.dvcfile import read_pipeline


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@example.org", *arguments]
    subprocess.run(["git", "-c", "protocol.file.allow=always", *command[1:]], cwd=folder, check=True)


@pytest.fixture
def project(copy: Path) -> Path:
    """A repository that holds the project's code."""
    git(copy, "init", "--quiet")
    (copy / "requirements.lock").write_text("numpy==2.0\n")
    (copy / ".dvcignore").write_text("__pycache__\n")
    git(copy, "add", "--all")
    return copy


def packed(project: Path, target: Path) -> dict[str, bytes]:
    Snapshot(project, read_pipeline(project)).pack(target)
    with tarfile.open(target) as archive:
        return {member.name: file.read() for member in archive if (file := archive.extractfile(member)) is not None}


def refusal(project: Path) -> str:
    with pytest.raises(DispatchError) as refused:
        Snapshot(project, read_pipeline(project))
    return str(refused.value)


def test_the_code_as_it_is_on_disk(project: Path, package: str, tmp_path: Path) -> None:
    (project / package / "model" / "untracked.py").write_text("X = 1\n")
    (project / package / "serving.py").write_text("# edited\n")
    (project / "data" / "raw").mkdir(parents=True)
    (project / "data" / "raw" / "scan.bin").write_bytes(b"records")
    (project / ".env").write_text("TOKEN=x\n")
    (project / "notes.txt").write_text("untracked, and no stage reads it\n")
    git(project, "add", "--force", "data")
    files = packed(project, tmp_path / "project.tar.gz")
    assert files[f"{package}/serving.py"] == b"# edited\n"
    assert {f"{package}/model/untracked.py", "dvc.yaml", "params.yaml", "conf/config.yaml", ".dvcignore"} <= set(files)
    assert not {".env", "notes.txt", "data/raw/scan.bin"} & set(files)


ODD = [
    'it"s',
    "back\\slash",
    "tab\there",
    "new\nline",
    "carriage\rreturn",
    "para\u2028graph",
    "ümläut",
    " ",
]


@pytest.mark.parametrize("is_tracked", [True, False])
def test_every_name_that_a_file_may_have(project: Path, package: str, tmp_path: Path, is_tracked: bool) -> None:
    for name in ODD:
        (project / package / "model" / f"{name}.txt").write_text(name, errors="surrogateescape")
    if is_tracked:
        git(project, "add", "--all")
    files = packed(project, tmp_path / "project.tar.gz")
    assert {f"{package}/model/{name}.txt" for name in ODD} <= set(files)


def test_a_name_that_is_not_utf_8(project: Path, package: str) -> None:
    (project / package / "model" / "bytes\udcff.txt").write_text("x")
    assert f"a file below {package}/model has a name that is not UTF-8" in refusal(project)


def test_a_submodule(project: Path, package: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    (other / "layers.py").write_text("Y = 2\n")
    git(other, "add", "--all")
    git(other, "commit", "--quiet", "--message", "Layers")
    git(project, "submodule", "--quiet", "add", str(other), f"{package}/model/layers")
    git(project, "submodule", "--quiet", "add", str(other), "elsewhere")
    files = packed(project, tmp_path / "project.tar.gz")
    assert files[f"{package}/model/layers/layers.py"] == files["elsewhere/layers.py"] == b"Y = 2\n"


def test_links(project: Path, package: str, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("a key\n")
    (project / ".env").write_text("TOKEN=x\n")
    (project / "inside.txt").symlink_to("dvc.yaml")
    git(project, "add", "inside.txt")
    assert packed(project, tmp_path / "project.tar.gz")["inside.txt"] == (project / "dvc.yaml").read_bytes()
    targets = {"notes.txt": tmp_path / "outside.txt", "hidden.txt": Path(".env"), "own.txt": Path(".git/config")}
    for name, target in targets.items():
        (project / name).symlink_to(target)
    (project / package / "model" / "untracked.txt").symlink_to(tmp_path / "outside.txt")
    git(project, "add", *targets)
    said = refusal(project)
    outside = f"(really {(tmp_path / 'outside.txt').resolve()}, outside of the project)"
    assert f"notes.txt {outside}" in said
    assert f"untracked.txt {outside}" in said
    assert "hidden.txt (a usual name of secrets)" in said
    assert "own.txt (a usual name of secrets)" in said


def test_secrets_by_name_and_by_what_they_are(project: Path, package: str) -> None:
    (project / ".env").write_text("TOKEN=x\n")
    (project / "service-account.json").write_text("{}")
    key = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\n"
    (project / package / "model" / "notes.txt").write_text(f"first line\n{key}")
    git(project, "add", "--force", ".env", "service-account.json")
    said = refusal(project)
    assert ".env (a usual name of secrets)" in said
    assert "service-account.json (a usual name of secrets)" in said
    assert f"{package}/model/notes.txt (line 2: Private Key)" in said
    git(project, "rm", "--quiet", "--cached", ".env", "service-account.json")
    (project / package / "model" / "notes.txt").write_text(f"{key.strip()} # pragma: allowlist secret\n")
    assert ".env" not in Snapshot(project, read_pipeline(project)).names


def test_names_that_a_terminal_would_obey(project: Path) -> None:
    (project / "\x1b[2J.pem").write_text("x")
    git(project, "add", "--all")
    assert r"\x1b[2J.pem (a usual name of secrets)" in refusal(project)


NOTES = Path(".dvc/tmp/kept/without_secrets.json")


def test_what_was_looked_through_is_not_searched_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []
    search = confidential.secret_in

    def counted(data: bytes, name: str) -> str | None:
        searched.append(name)
        return search(data, name)

    monkeypatch.setattr(confidential, "secret_in", counted)
    names = Snapshot(project, read_pipeline(project)).names
    assert searched == names
    searched.clear()
    assert Snapshot(project, read_pipeline(project)).names == names
    assert searched == []
    (project / "params.yaml").write_text((project / "params.yaml").read_text() + "# edited\n")
    Snapshot(project, read_pipeline(project))
    assert searched == ["params.yaml"]


@pytest.mark.parametrize(
    "kept", ["as it was", '["00000000000000000000000000000000"]', '{"a": 1}', "[[]]", "torn", "\0"]
)
def test_a_secret_that_comes_later_is_found_whatever_was_noted(kept: str, project: Path) -> None:
    Snapshot(project, read_pipeline(project))
    if kept != "as it was":
        (project / NOTES).write_text(kept)
    (project / "params.yaml").write_text("pass" + 'word: "Tr0ub4dor&3"\n')
    assert "params.yaml (line 1: " in refusal(project)
    assert "params.yaml (line 1: " in refusal(project)
