"""The rules of `lineage verify` and `lineage trace` that have edges, without a pipeline around them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.base.bytecode import ForeignBytecodeError, is_compiled_from_source
from lineage.chain.packages import pins
from lineage.dvc.hashes import hash_bytes, hash_path, hash_tree, md5_of_listing
from lineage.git.history import History
from lineage.proof.page import console_url, human_size, moment
from lineage.proof.recompute import CheckResult
from lineage.proof.verify import Link, Verdict, exit_code


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """dvc.lock with one hash, then with another on a side branch whose content a merge drops, then without."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    write = tmp_path / "dvc.lock"
    for number, text in enumerate(("md5: aaaa\n", "md5: bbbb\n", "md5: aaaa\n")):
        write.write_text(text)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "-m", f"number {number}")
    git(tmp_path, "checkout", "--quiet", "-b", "side", "HEAD~1")
    write.write_text("md5: cccc\n")
    git(tmp_path, "commit", "--quiet", "-a", "-m", "on the side")
    git(tmp_path, "checkout", "--quiet", "main")
    git(tmp_path, "merge", "--quiet", "--strategy=ours", "-m", "merge", "side")
    git(tmp_path, "branch", "--quiet", "-D", "side")
    return tmp_path


def test_commits_are_found_by_hash_through_reverts_and_dropped_merges(repository: Path) -> None:
    history = History(repository)
    subjects = {
        text: [history.info(commit).subject for commit in history.commits_holding(text)]
        for text in ("aaaa", "bbbb", "cccc", "dddd")
    }
    assert subjects["aaaa"][:2] == ["number 0", "number 2"]
    assert subjects["bbbb"] == ["number 1"]
    assert subjects["cccc"] == ["on the side"]
    assert subjects["dddd"] == []


def test_a_tree_of_a_commit_is_hashed_as_dvc_hashes_the_folder(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".dvcignore").write_text("*.pyc\n/code/left/\n/a\n")
    (tmp_path / ".dvc").mkdir()
    for name in ("code/a-b/x.py", "code/a/y.py", "code/ä.py", "code/z.pyc", "code/left/x.py", "code/a/out.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    git(tmp_path, "add", "--force", "--all")
    git(tmp_path, "commit", "--quiet", "-m", "all")
    tree = History(tmp_path).at("HEAD")
    assert tree.md5("code") == hash_path(tmp_path / "code").md5
    assert tree.md5("code/a/y.py") == hash_path(tmp_path / "code/a/y.py").md5
    assert tree.md5("nothing") is None


def test_a_tree_leaves_nothing_out(tmp_path: Path) -> None:
    (tmp_path / ".dvcignore").write_text("*.pyc\n")
    (tmp_path / "a.pyc").write_text("a")
    assert {file.path for file in hash_tree(tmp_path).files} == {".dvcignore", "a.pyc"}


@given(st.dictionaries(st.text("ab/-é", min_size=1), st.binary()))
def test_the_hash_of_a_listing_depends_on_its_entries_alone(files: dict[str, bytes]) -> None:
    hashes = {path: hash_bytes(data, path).md5 for path, data in files.items()}
    assert md5_of_listing(hashes) == md5_of_listing(dict(reversed(hashes.items())))
    assert md5_of_listing({**hashes, "new": "0" * 32}) != md5_of_listing(hashes)


def test_pins_are_chosen_by_the_markers_of_the_machine_that_trained() -> None:
    lock = "a==1 ; sys_platform == 'linux' \\\n    --hash=sha256:00\na==2 ; sys_platform == 'win32'\nb==3\n"
    here = {"sys_platform": "linux"}
    assert pins(lock, here) == {"a": "1", "b": "3"}
    assert pins(lock, {"sys_platform": "win32"}) == {"a": "2", "b": "3"}


def test_bytecode_is_known_by_its_source(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("def f():\n    return 'here'\n")
    compile_it = f"import py_compile; print(py_compile.compile({str(source)!r}))"
    compiled = Path(subprocess.run([sys.executable, "-c", compile_it], capture_output=True, text=True).stdout.strip())
    assert is_compiled_from_source(compiled)
    foreign = compiled.with_name("module.cpython-27.pyc")
    foreign.write_bytes(compiled.read_bytes())
    with pytest.raises(ForeignBytecodeError, match=r"module\.cpython-27\.pyc"):
        is_compiled_from_source(foreign)
    source.write_text("def f():\n    return 'gone'\n")
    assert not is_compiled_from_source(compiled)
    compiled.write_bytes(compiled.read_bytes()[:20])
    assert not is_compiled_from_source(compiled)
    compiled.write_bytes(b"")
    assert not is_compiled_from_source(compiled)
    source.unlink()
    assert not is_compiled_from_source(compiled)


def test_a_tally_counts_and_names() -> None:
    result = CheckResult()
    result.equal("the same", 1, 1)
    result.equal("another", 1, 2, "the other side")
    result.equal("nothing", None, "x" * 200)
    assert result.looked_at == 3
    assert result.faults[0] == "another is 1, the other side says 2"
    assert result.faults[1].startswith("nothing is absent, dvc.lock says xxx")
    assert len(result.faults[1]) < 200


def verdict(*states: str) -> Verdict:
    return Verdict("m", tuple(Link(str(number), state, "", 1) for number, state in enumerate(states)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([verdict("PASS", "PASS")], 0),
        ([verdict("PASS", "FAIL", "INCONCLUSIVE")], 1),
        ([verdict("PASS", "INCONCLUSIVE")], 2),
        ([verdict("PASS"), verdict("INCONCLUSIVE")], 2),
        ([verdict("FAIL"), verdict("INCONCLUSIVE")], 1),
        ([verdict()], 2),
        ([], 2),
    ],
)
def test_the_exit_code_never_comforts(verdicts: list[Verdict], code: int) -> None:
    assert exit_code(verdicts) == code


def test_the_page_names_sizes_moments_and_places() -> None:
    assert human_size(None) == "unknown size"
    assert human_size(999) == "999 bytes"
    assert human_size(216_700) == "216.7 kB"
    assert human_size(3 * 10**15) == "3000.0 TB"
    assert moment(None) == "unknown"
    assert moment(0) == "1970-01-01 00:00:00 UTC"
    assert console_url(None) is None
    assert console_url("/a/folder") is None
    address = "https://s3.console.aws.amazon.com/s3/object/b?prefix=p%2Ffiles%2Fmd5%2Faa%2Fbb"
    assert console_url("s3://b/p/files/md5/aa/bb") == address


def test_a_lineage_file_without_a_model_is_no_chain(repository: Path) -> None:
    (repository / "lineage.json").write_text(json.dumps({"schema": 1, "model": None}))
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "no model yet")
    tree = History(repository).at("HEAD")
    assert tree.document is None
    assert tree.lock == {}
