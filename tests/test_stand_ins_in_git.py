"""What Git can be made to show in place of what a commit holds: never believed by verify."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from baked import Project
from command import Lineage
from damage import SECOND, edit, rewrite

CODE = "traceable_digits/model/training.py"


def _object(project: Project, name: str) -> Path:
    return project.root / ".git" / "objects" / name[:2] / name[2:]


def _loose(project: Project, name: str, kind: str, data: bytes) -> None:
    """Puts bytes under the name of another object, which Git does not notice when it reads it."""
    pack = project.root / ".git" / "objects" / "pack"
    project.git("repack", "-q", "-A", "-d")
    for file in pack.glob("pack-*.pack"):
        project.run("sh", "-c", f"mv {file} away.pack && git unpack-objects -q < away.pack && rm away.pack")
    for file in pack.glob("pack-*"):
        file.unlink()
    path = _object(project, name)
    path.chmod(0o644)
    path.write_bytes(zlib.compress(f"{kind} {len(data)}\0".encode() + data))


def _replace_blob(project: Project, changed: str, right: str) -> None:
    project.git("replace", project.git("rev-parse", f"{changed}:{CODE}"), project.git("rev-parse", f"{right}:{CODE}"))


def _replace_commit(project: Project, changed: str, right: str) -> None:
    project.git("replace", changed, right)


def _replace_by_variable(project: Project, changed: str, right: str) -> None:
    blobs = (project.git("rev-parse", f"{commit}:{CODE}") for commit in (changed, right))
    project.git("update-ref", f"refs/stand-ins/{next(blobs)}", next(blobs))
    project.environment["GIT_REPLACE_REF_BASE"] = "refs/stand-ins/"


def _other_bytes_of_a_file(project: Project, changed: str, right: str) -> None:
    data = project.run("git", "cat-file", "blob", f"{right}:{CODE}").encode()
    _loose(project, project.git("rev-parse", f"{changed}:{CODE}"), "blob", data)


def _other_bytes_from_alternates(project: Project, changed: str, right: str) -> None:
    """The object is not in this repository, and the one that lends it has other bytes under its name."""
    _other_bytes_of_a_file(project, changed, right)
    path = _object(project, project.git("rev-parse", f"{changed}:{CODE}"))
    lent = _alternate(project) / path.parent.name / path.name
    lent.parent.mkdir(parents=True)
    path.rename(lent)


def _alternate(project: Project) -> Path:
    """A folder from which the repository borrows objects that it has not."""
    folder = project.root.parent / "lent"
    alternates = project.root / ".git" / "objects" / "info" / "alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{folder}\n")
    return folder


def _other_bytes_of_a_commit(project: Project, changed: str, right: str) -> None:
    _loose(project, changed, "commit", project.run("git", "cat-file", "commit", right).encode())


@pytest.mark.parametrize(
    "cover_up",
    [
        _replace_blob,
        _replace_commit,
        _replace_by_variable,
        _other_bytes_of_a_file,
        _other_bytes_of_a_commit,
        _other_bytes_from_alternates,
    ],
    ids=lambda function: function.__name__.strip("_"),
)
def test_changed_code_that_git_shows_as_it_was(
    cover_up: Callable[[Project, str, str], None], project: Project, lineage: Lineage
) -> None:
    right = project.git("rev-parse", "HEAD")
    project.git("branch", "right")
    path = project.root / CODE
    rewrite(project, edit(path, "logits.float()", "logits"))
    changed = project.git("rev-parse", "HEAD")
    project.git("branch", "--quiet", "-D", "right")
    lineage(project, "link")
    cover_up(project, changed, right)
    proof = lineage.verify(project, SECOND)
    assert proof.state != "PASS"
    assert any(word in proof.not_passed["code"] for word in ("traceable_digits/model", "does not match its hash"))
    if cover_up in (_replace_blob, _replace_commit):
        assert "1 objects have a replacement here" in proof.link("result commit")["text"]


def test_replacements_that_hide_nothing_change_no_answer(project: Project, lineage: Lineage) -> None:
    blobs = [project.git("rev-parse", f"HEAD:{name}") for name in ("README.md", CODE)]
    project.git("replace", blobs[1], blobs[0])
    grafts = project.root / ".git" / "info" / "grafts"
    grafts.parent.mkdir(exist_ok=True)
    grafts.write_text(f"{project.git('rev-parse', 'HEAD')}\n")  # as if it had no parents
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


def test_a_repository_that_borrows_all_its_objects_is_proved(project: Project, lineage: Lineage) -> None:
    """As `git clone --shared` leaves it."""
    project.git("repack", "-q", "-A", "-d")
    objects = project.root / ".git" / "objects"
    lent = _alternate(project)
    lent.mkdir()
    (objects / "pack").rename(lent / "pack")
    assert project.git("cat-file", "-t", "HEAD") == "commit"
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


HOSTILE = {
    "log.diffMerges": "first-parent",
    "log.showRoot": "false",
    "log.follow": "true",
    "color.ui": "always",
    "column.ui": "always",
    "submodule.recurse": "true",
    "diff.noprefix": "true",
    "diff.external": "false",
    "core.commitGraph": "true",
    "core.sparseCheckout": "true",
    "grep.patternType": "extended",
}


def test_a_hostile_configuration_changes_no_answer(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    for key, value in HOSTILE.items():
        project.git("config", key, value)
    info = project.root / ".git" / "info"
    (info / "attributes").write_text("dvc.lock diff=none filter=none\n* filter=none\n")
    for key in ("filter.none.clean", "filter.none.smudge", "diff.none.textconv"):
        project.git("config", key, "true #")
    project.environment |= {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(tmp_path), "GIT_NAMESPACE": "x"}
    project.environment |= {"GIT_DIR": str(tmp_path), "GIT_LITERAL_PATHSPECS": "1", "GIT_EXTERNAL_DIFF": "false"}
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


def test_a_partial_clone_whose_objects_are_not_here_cannot_tell(
    project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    origin = Path(project.git("remote", "get-url", "origin"))
    project.git("-C", str(origin), "config", "uploadpack.allowFilter", "true")
    clone = Project(tmp_path / "partial", project.venv, project.environment)
    project.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{origin}", str(clone.root))
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "lineage.json", ".dvc"):
        clone.git("checkout", "--quiet", "HEAD", "--", name)
    (clone.root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {project.remote}\n")
    assert lineage.verify(clone, "lineage.json").not_passed == {}  # Git fetches what is missing
    missing = Project(tmp_path / "missing", project.venv, project.environment)
    project.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{origin}", str(missing.root))
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "lineage.json", ".dvc"):
        missing.git("checkout", "--quiet", "HEAD", "--", name)
    (missing.root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {project.remote}\n")
    origin.rename(tmp_path / "gone.git")
    proof = lineage.verify(missing, "lineage.json")
    assert (proof.status, proof.state) == (2, "INCONCLUSIVE"), proof.not_passed


def test_a_submodule_below_the_code_cannot_be_told(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    other, inside = tmp_path / "other", project.root / "traceable_digits" / "model" / "extra"
    project.git("init", "--quiet", str(other))
    project.git("-C", str(other), "commit", "--quiet", "--allow-empty", "--message", "Empty")

    def add() -> None:
        project.git("clone", "--quiet", str(other), str(inside))
        project.git("-c", "advice.addEmbeddedRepo=false", "add", str(inside))

    rewrite(project, add)
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    assert "traceable_digits/model/extra is a submodule" in proof.not_passed["code"]
    assert proof.state == "INCONCLUSIVE"
