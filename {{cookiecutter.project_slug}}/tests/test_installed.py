"""Installed packages against their RECORD: all bytes once, size and time afterwards."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from project.lineage.installed import changed_since, compare_all


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with one package, as an installer leaves it."""
    site = tmp_path / "site-packages"
    files = {
        "thing/__init__.py": b"x = 1\n",
        "thing/fast.so": b"\x7fELF",
        "thing-1.0.dist-info/METADATA": b"Name: thing\n",
    }
    lines = []
    for name, content in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    (site / "thing-1.0.dist-info" / "RECORD").write_text("".join([*lines, "../../bin/thing,sha256=x,1\n"]))
    (site / "_virtualenv.pth").write_text("import _virtualenv\n")
    return site


def test_what_was_installed_is_right_and_has_a_hash(site: Path, tmp_path: Path) -> None:
    compared = compare_all(site, tmp_path / "stamp", {"thing"})
    assert (compared.looked_at, compared.wrong) == (3, [])
    assert changed_since(site, tmp_path / "stamp") == (compared.sha256, [])
    assert compare_all(site, tmp_path / "stamp", set()).sha256 != compared.sha256


def test_nobody_knows_before_all_bytes_were_compared(site: Path, tmp_path: Path) -> None:
    assert changed_since(site, tmp_path / "stamp") == (None, [])


def edited_in_place(site: Path) -> None:
    path = site / "thing" / "__init__.py"
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    path.write_bytes(b"x = 2\n")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "thing/__init__.py": edited_in_place,
    "thing/fast.so": lambda site: (site / "thing" / "fast.so").unlink(),
    "evil.pth": lambda site: (site / "evil.pth").write_text("import os\n"),
    "sitecustomize.py": lambda site: (site / "sitecustomize.py").write_text("import os\n"),
    "thin": lambda site: ((site / "thin").mkdir(), (site / "thin" / "__init__.py").touch()),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGE.items(), ids=DAMAGE)
def test_what_was_edited_added_or_removed_is_named(
    name: str, damage: Callable[[Path], object], site: Path, tmp_path: Path
) -> None:
    stamp = tmp_path / "stamp"
    compare_all(site, stamp, {"thing"})
    damage(site)
    digest, quick = changed_since(site, stamp)
    assert digest is None
    assert [line.split()[0] for line in quick] == [name]
    assert [line.split()[0] for line in compare_all(site, stamp, {"thing"}).wrong] == [name]
    # not forgotten: until it is mended, each stage hears of it
    assert changed_since(site, stamp)[0] is None
    assert [line.split()[0] for line in changed_since(site, stamp)[1]] == [name]


def test_a_file_that_two_packages_bring_is_that_of_either(site: Path, tmp_path: Path) -> None:
    other = site / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Name: other\n")
    (other / "RECORD").write_text("thing/__init__.py,sha256=something,6\n")
    assert compare_all(site, tmp_path / "stamp", {"thing"}).wrong == []
