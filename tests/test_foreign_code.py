"""Code that no hash covers does not run in a stage: compiled files, libraries beside sources, Python's variables."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from baked import Project, bake
from command import Lineage
from stages import PACKAGE, Workshop, workshop

pytestmark = pytest.mark.usefixtures("new_processes")

__all__ = ["workshop"]

PACKAGE_FILE = "filelock/_api.py"
FORGED = "print('FORGED', flush=True)\nraise SystemExit('FORGED')\n"


def forge(source: Path, python: str) -> None:
    """Another program as the compiled file of `source`, with the size and the time of it in its header."""
    stat = source.stat()
    header = importlib.util.MAGIC_NUMBER + bytes(4)
    header += int(stat.st_mtime).to_bytes(4, "little") + stat.st_size.to_bytes(4, "little")
    compiled = source.parent / "__pycache__" / f"{source.stem}.{python}.pyc"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(header + marshal.dumps(compile(FORGED, str(source), "exec")))


@pytest.fixture(scope="module")
def prepared(workshop: Workshop) -> Workshop:
    workshop.compose()
    workshop.run("fetch")
    return workshop


def test_a_stage_believes_no_compiled_file(prepared: Workshop) -> None:
    import sys

    folders = [prepared.root / name for name in (PACKAGE, "lineage", "hydra_plugins")]
    for source in [file for folder in folders for file in folder.rglob("*.py")]:
        forge(source, str(sys.implementation.cache_tag))
    forge(prepared.root / "scripts" / "stage.py", str(sys.implementation.cache_tag))
    # the attack works: this is what `python -m` runs
    assert "FORGED" in prepared.project.run("python", "-m", f"{PACKAGE}.stages.preprocess", code=1)
    for stage in ("config", "preprocess"):
        assert "FORGED" not in prepared.run(stage)
    for folder in [folder for above in folders for folder in above.rglob("__pycache__")]:
        prepared.project.run("rm", "-r", str(folder))


def test_what_is_installed_in_the_project_is_not_the_projects(installed: Project) -> None:
    """`make setup` makes .venv in the project: its libraries, which have no source, are to be found."""
    assert (installed.root / ".venv").is_dir()
    find = "import sys; sys.path.insert(0, 'scripts'); import stage, pydantic, pyarrow; print(pydantic.__file__)"
    assert str(installed.root / ".venv") in installed.run("python", "-I", "-c", find)


def test_a_module_without_a_source_is_not_there(prepared: Workshop) -> None:
    """Python would take a compiled file in the place of a source, and a library before it."""
    data = prepared.root / "lineage" / "records"
    (data / "images.so").write_bytes(b"\x7fELF")
    assert "Traceback" not in prepared.run("preprocess")
    (data / "images.so").unlink()
    stage = prepared.root / PACKAGE / "stages" / "preprocess.py"
    text = stage.read_text()
    (data / "extra.pyc").write_bytes(
        importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(compile(FORGED, "x", "exec"))
    )
    stage.write_text(
        text.replace("from lineage.records.raw", "from lineage.records import extra\nfrom lineage.records.raw", 1)
    )
    said = prepared.run("preprocess", code=1)
    stage.write_text(text)
    (data / "extra.pyc").unlink()
    assert "FORGED" not in said
    assert "extra" in said


def test_variables_of_python_change_nothing(prepared: Workshop, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FORGED)
    (tmp_path / "pyarrow.py").write_text(FORGED)
    (tmp_path / "start.py").write_text(FORGED)
    foreign = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "start.py"),
        "PYTHONHOME": str(tmp_path),
        "PYTHONUSERBASE": str(tmp_path),
        "PYTHONPYCACHEPREFIX": str(tmp_path),
        "PYTHONOPTIMIZE": "2",
        "PYTHONINSPECT": "1",
        "LC_ALL": "C",
        "TZ": "Pacific/Kiritimati",
    }
    assert os.environ.get("PYTHONPATH") != str(tmp_path)
    assert "FORGED" not in prepared.run("preprocess", **foreign)


def sites(installed: Project, folder: Path) -> tuple[Path, Path]:
    """Where packages lie in a new environment with one package, which may be damaged, and in that of `installed`."""
    installed.run("python", "-m", "venv", "--without-pip", str(folder / "venv"))
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (others,) = installed.venv.glob("lib/python*/site-packages")
    for found in (others / "filelock", *others.glob("filelock-*.dist-info")):
        shutil.copytree(found, site / found.name, ignore=shutil.ignore_patterns("__pycache__"))
    return site, others


@pytest.fixture
def other(installed: Project, tmp_path: Path) -> tuple[Project, Path]:
    """A project in an environment that may be damaged: one package of its own, the others are those of `installed`."""
    root = bake(tmp_path)
    site, others = sites(installed, tmp_path)
    return Project(root, tmp_path / "venv", {**installed.environment, "PYTHONPATH": str(others)}), site


def same_size_and_time(path: Path, old: bytes = b"import", new: bytes = b"Import") -> None:
    stat, text = path.stat(), path.read_bytes()
    path.write_bytes(text.replace(old, new, 1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.read_bytes() == text) == (stat.st_size, False)


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "edited": ("filelock/_api.py is not what was installed", lambda site: same_size_and_time(site / PACKAGE_FILE)),
    "removed": ("filelock/_api.py is missing", lambda site: (site / PACKAGE_FILE).unlink()),
    "a .pth more": ("evil.pth belongs to no package", lambda site: (site / "evil.pth").write_text("import os\n")),
    "sitecustomize": ("sitecustomize.py belongs to", lambda site: (site / "sitecustomize.py").write_text("x = 1\n")),
}
DOCTOR = ("python", "-m", "lineage.cli", "doctor", "--environment")


@pytest.mark.parametrize(("said", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_doctor_reads_every_installed_file(
    said: str, damage: Callable[[Path], object], other: tuple[Project, Path]
) -> None:
    project, site = other
    assert "installed files are what their packages brought" in project.run(*DOCTOR)
    damage(site)
    output = project.run(*DOCTOR, code=1)
    assert said in output
    assert "installed files are wrong: rm -r .venv && make setup" in output


def test_doctor_reads_every_compiled_file_of_the_project(other: tuple[Project, Path]) -> None:
    import sys

    project, tag = other[0], str(sys.implementation.cache_tag)
    forge(project.root / PACKAGE / "evaluation.py", tag)
    said = f"{PACKAGE}/__pycache__/evaluation.{tag}.pyc is not compiled from its source"
    assert said in project.run(*DOCTOR, code=1)


def test_a_model_of_an_environment_that_was_edited_is_not_proved(
    installed: Project, project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    """Edited after all files had been compared, and run by every stage."""
    site, others = sites(installed, tmp_path)
    (site / "others.pth").write_text(f"{others}\n")
    project.venv = tmp_path / "venv"
    project.environment["PATH"] = os.pathsep.join(map(str, [site.parents[2] / "bin", others.parents[2] / "bin"]))
    project.environment["PATH"] += os.pathsep + os.environ["PATH"]
    assert "others.pth belongs to no package" in project.run(*DOCTOR, code=1)
    same_size_and_time(site / "filelock" / "version.py", b"version", b"Version")
    project.compose("train=debug", "train.seed=8")
    assert "warning: this environment is not as requirements.lock says" in project.dvc("repro")
    project.commit("Third model")
    project.dvc("push", "--quiet")
    project.git("push", "--quiet", "origin", "main")
    project.run("python", "-m", "lineage.cli", "link")
    proof = lineage.verify(project, "models:/traceable-digits/3")
    assert (proof.state, list(proof.not_passed)) == ("FAIL", ["environment"])
    said = " ".join(map(str, proof.link("environment").values()))
    assert "filelock/version.py was changed since it was installed" in said
    assert "others.pth belongs to no package" in said
