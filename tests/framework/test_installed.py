"""Installed packages against their RECORD: all bytes once, size and time afterwards."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lineage.chain.installed import NOT_COMPARED, Noted, changed_since, compare_all
from lineage.doctor import examine as doctor
from lineage.proof.links.environment import environment
from lineage.run import facts


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with one package, as an installer leaves it."""
    site = tmp_path / "site-packages"
    files = {
        "thing/__init__.py": b"x = 1\n",
        "thing/mod.py": b"y = 1\n",
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
    assert (compared.looked_at, compared.wrong) == (4, [])
    assert changed_since(site, tmp_path / "stamp") == (compared.sha256, [])
    assert compare_all(site, tmp_path / "stamp", set()).sha256 != compared.sha256


def test_nobody_knows_before_all_bytes_were_compared(site: Path, tmp_path: Path) -> None:
    assert changed_since(site, tmp_path / "stamp") == (None, [])


def edited_in_place(site: Path) -> None:
    path = site / "thing" / "__init__.py"
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    path.write_bytes(b"x = 2\n")


def edited_with_its_time_put_back(site: Path) -> None:
    path = site / "thing" / "mod.py"
    before = path.stat()
    path.write_bytes(b"y = 2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def put(site: Path, name: str, content: str = "import os\n") -> None:
    (site / name).parent.mkdir(parents=True, exist_ok=True)
    (site / name).write_text(content)


def linked_folder(site: Path) -> None:
    put(site.parent, "outside/__init__.py")
    (site / "thing" / "mod").symlink_to(site.parent / "outside")


def beside_a_link_without_end(site: Path) -> None:
    put(site, "nsp/a/m.py")
    (site / "nsp" / "a" / "0").symlink_to("0")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "thing/__init__.py": edited_in_place,
    "thing/mod.py": edited_with_its_time_put_back,
    "thing/fast.so": lambda site: (site / "thing" / "fast.so").unlink(),
    "evil.pth": lambda site: (site / "evil.pth").write_text("import os\n"),
    "sitecustomize.py": lambda site: (site / "sitecustomize.py").write_text("import os\n"),
    "thin": lambda site: put(site, "thin/__init__.py", ""),
    "thing/mod": lambda site: put(site, "thing/mod/__init__.py"),
    "thing/mod ": linked_folder,
    "thing/more.py": lambda site: put(site, "thing/more.py"),
    "thing/more.pyc": lambda site: put(site, "thing/more.pyc"),
    "nsp": lambda site: put(site, "nsp/deep/m.py"),
    "nsp ": beside_a_link_without_end,
    "__editable___my_helpers-0.1.pth": lambda site: put(site, "__editable___my_helpers-0.1.pth", "/home/me/helpers\n"),
    "_virtualenv.pth": lambda site: put(site, "_virtualenv.pth", "import os; import _virtualenv\n"),
    "_virtualenv.py": lambda site: put(site, "_virtualenv.py"),
    "pyvenv.cfg": lambda site: put(site.parent, "pyvenv.cfg", "Include-System-Site-Packages = TRUE\n"),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGE.items(), ids=DAMAGE)
def test_what_was_edited_added_or_removed_is_named(
    name: str, damage: Callable[[Path], object], site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = tmp_path / "stamp"
    compare_all(site, stamp, {"thing"})
    damage(site)
    digest, quick = changed_since(site, stamp)
    assert digest is None
    assert [line.split()[0] for line in quick] == [name.strip()]
    assert_doctor_says_so(stamp, quick, monkeypatch)
    assert [line.split()[0] for line in compare_all(site, stamp, {"thing"}).wrong] == [name.strip()]
    # not forgotten: until it is mended, each stage hears of it
    assert changed_since(site, stamp)[0] is None
    assert [line.split()[0] for line in changed_since(site, stamp)[1]] == [name.strip()]


def assert_doctor_says_so(stamp: Path, wrong: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by what the last comparison found."""
    monkeypatch.setattr(doctor, "stamp_file", lambda: stamp)
    monkeypatch.setattr(doctor, "differences", lambda *_: [])
    finding = doctor.check_environment(stamp.parent)
    assert (finding.state, finding.fix) == ("wrong", "rm -r .venv && make setup")
    assert wrong[0] in finding.text


def test_what_was_put_back_is_right_again(site: Path, tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    compared = compare_all(site, stamp, {"thing"})
    put(site, "thing/more.py")
    assert changed_since(site, stamp)[0] is None
    (site / "thing" / "more.py").unlink()
    assert changed_since(site, stamp) == (compared.sha256, [])
    noted = Noted.read(stamp)
    assert noted is not None
    assert (noted.sha256, noted.wrong, noted.changed) == (compared.sha256, [], [])


def test_a_file_that_two_packages_bring_is_that_of_either(site: Path, tmp_path: Path) -> None:
    other = site / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Name: other\n")
    (other / "RECORD").write_text("thing/__init__.py,sha256=something,6\n")
    assert compare_all(site, tmp_path / "stamp", {"thing"}).wrong == []


def test_what_is_no_code_may_lie_anywhere(site: Path, tmp_path: Path) -> None:
    compare_all(site, tmp_path / "stamp", {"thing"})
    for name in ("thing/__pycache__/mod.cpython-311.pyc", "thing/weights/net.pth", "thing/data.json", "notes/a.txt"):
        put(site, name)
    assert changed_since(site, tmp_path / "stamp")[1] == []
    assert compare_all(site, tmp_path / "stamp", {"thing"}).wrong == []


def test_another_link_to_a_file_is_no_change_of_it(site: Path, tmp_path: Path) -> None:
    compared = compare_all(site, tmp_path / "stamp", {"thing"})
    kept = (tmp_path / "stamp").read_text()
    (tmp_path / "another environment").hardlink_to(site / "thing" / "mod.py")
    assert changed_since(site, tmp_path / "stamp") == (compared.sha256, [])
    assert (tmp_path / "stamp").read_text() != kept  # so that it is read once


def test_a_stamp_of_an_earlier_version_says_nothing(site: Path, tmp_path: Path) -> None:
    (tmp_path / "stamp").write_text('{"sha256": "x", "wrong": [], "files": {"thing/mod.py": [6, 1]}}')
    assert changed_since(site, tmp_path / "stamp") == (None, [])


def editable(site: Path, source: Path) -> str:
    """Installs `source` in editable form, and returns the file that leads there."""
    name, content = "__editable__.mine-1.0.pth", f"{source}\n".encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    put(site, name, content.decode())
    put(site, "mine-1.0.dist-info/METADATA", "Name: mine\n")
    put(site, "mine-1.0.dist-info/RECORD", f"{name},sha256={digest},{len(content)}\n")
    origin = {"url": source.as_uri(), "dir_info": {"editable": True}}
    put(site, "mine-1.0.dist-info/direct_url.json", json.dumps(origin))
    return name


def test_an_editable_installation_leads_to_this_project_alone(site: Path, tmp_path: Path) -> None:
    here, stamp = tmp_path / "my project", tmp_path / "stamp"
    name = editable(site, here)
    assert compare_all(site, stamp, set(), [here]).wrong == []
    assert changed_since(site, stamp)[1] == []
    said = [f"{name} belongs to no package: installed in editable form from elsewhere"]
    assert compare_all(site, stamp, set(), [tmp_path / "another"]).wrong == said
    assert changed_since(site, stamp) == (None, said)


def test_an_older_editable_installation_has_no_hash(site: Path, tmp_path: Path) -> None:
    put(site, "easy-install.pth", f"{tmp_path}\n")
    assert compare_all(site, tmp_path / "stamp", set(), [tmp_path]).wrong == []
    put(site, "easy-install.pth", f"{tmp_path}\n/elsewhere\n")
    assert [line.split()[0] for line in changed_since(site, tmp_path / "stamp")[1]] == ["easy-install.pth"]
    assert compare_all(site, tmp_path / "stamp", set(), [tmp_path]).wrong == ["easy-install.pth belongs to no package"]


FOUND = {
    "right": (("abc", []), "", {"packages_sha256"}),
    "unknown": ((None, []), "lineage doctor --environment", set()),
    "wrong": ((None, ["thing/mod.py was changed since it was installed"]), "rm -r .venv && make setup", None),
}


@pytest.mark.parametrize("state", FOUND)
def test_doctor_and_the_run_say_whether_the_files_were_compared(
    state: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer, fix, names = FOUND[state]
    noted = Noted(answer[0] or "", "2026-11-28T06:00:00+00:00", [], answer[1]) if state != "unknown" else None
    monkeypatch.setattr(Noted, "read", lambda _: noted)
    monkeypatch.setattr(facts, "changed_since", lambda *_: answer)
    for module in (doctor, facts):
        monkeypatch.setattr(module, "differences", lambda *_, **__: [])
    finding = doctor.check_environment(root)
    assert (finding.state, finding.fix or "") == (state, fix)
    recorded = facts.environment_facts(root)
    assert recorded.keys() == ({"environment_differs"} if names is None else {"environment_md5", *names})
    assert (NOT_COMPARED in finding.text) == (state == "unknown")
    assert (fix in capsys.readouterr().err) == (state == "wrong" or not fix)


@pytest.mark.parametrize("started", [{}, {"packages_sha256": "abc"}])
def test_verify_says_where_nobody_compared(started: dict[str, str]) -> None:
    tree = SimpleNamespace(read=lambda _: b"", md5=lambda _: "m")
    document = {"training_run": {"started_from": started}, "environment": {"md5": "m"}}
    case: Any = SimpleNamespace(document=document, tree=tree, version=None)
    result = environment(case)
    assert result.faults == []
    assert (NOT_COMPARED in result.note) == (not started)
