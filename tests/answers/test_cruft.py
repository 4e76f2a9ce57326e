"""`cruft create`, `check` and `update`: a project goes on with a newer template and stays itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from baked import TEMPLATE, Project
from command import Lineage

INSIDE = "{{cookiecutter.project_slug}}"
PACKAGE = f"{INSIDE}/{{{{cookiecutter.package_name}}}}"


class Cruft:
    """A template under Git, and a project that `cruft create` made of it, its first state committed."""

    def __init__(self, folder: Path, installed: Project) -> None:
        self.template = Project(folder / "template", installed.venv, installed.environment)
        self.template.root.mkdir()
        for name in ("cookiecutter.json", "hooks", INSIDE):
            copy = shutil.copytree if (TEMPLATE / name).is_dir() else shutil.copyfile
            copy(TEMPLATE / name, self.template.root / name)
        self.template.git("init", "--quiet")
        self.template.commit("Template")
        self.project = Project(folder / "traceable-digits", installed.venv, installed.environment)
        self("create", str(self.template.root), "--no-input", "--output-dir", str(folder), folder=folder)
        self.project.commit("Begin with cruft")

    def __call__(self, *arguments: str, code: int = 0, folder: Path | None = None) -> str:
        command = [str(Path(sys.executable).parent / "cruft"), *arguments]
        environment = {**os.environ, **self.project.environment}
        options = {"capture_output": True, "text": True, "check": False}
        done = subprocess.run(command, cwd=folder or self.project.root, env=environment, **options)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def edit(self, name: str, old: str, new: str) -> None:
        """Changes a file of the template."""
        path = self.template.root / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def changed(self) -> set[str]:
        """What differs from the last commit, and must be neither in conflict nor rejected."""
        lines = self.project.run("git", "status", "--porcelain", "--untracked-files=all").splitlines()
        assert not [line for line in lines if "U" in line[:2] or line.endswith((".rej", ".orig"))]
        return {line[3:] for line in lines}


@pytest.fixture(scope="module")
def cruft(tmp_path_factory: pytest.TempPathFactory, installed: Project) -> Cruft:
    return Cruft(tmp_path_factory.mktemp("cruft"), installed)


def test_a_new_project_is_up_to_date_and_differs_in_nothing(cruft: Cruft) -> None:
    assert "up to date" in cruft("check")
    assert cruft("diff", "--exit-code").strip() == ""
    assert cruft.project.git("rev-list", "--count", "HEAD") == "2"
    assert cruft.project.params["project_id"] != "not-yet-made"


def test_an_update_brings_the_new_template_and_leaves_the_project_its_identity(cruft: Cruft, lineage: Lineage) -> None:
    project = cruft.project
    before = {name: (project.root / name).read_bytes() for name in ("conf/project.yaml", "params.yaml", ".dvc/config")}
    # the project has gone on: a setting, a comment in a file that the template changes, and what a pipeline writes
    conf = project.root / "conf" / "train" / "default.yaml"
    conf.write_text(conf.read_text().replace("lr: 0.02", "lr: 0.03"))
    (project.root / "dvc.lock").write_text("schema: '2.0'\nstages: {x: {cmd: y}}\n")
    (project.root / "lineage.json").write_text('{"mine": 1}\n')
    project.commit("My own")

    cruft.edit(f"{PACKAGE}/tables.py", '"""', '"""Newer: ')
    cruft.edit(f"{INSIDE}/conf/train/default.yaml", "epochs: 10", "patience: 3 # new\nepochs: 12")
    cruft.edit(f"{INSIDE}/params.yaml", "epochs: 10", "patience: 3\n  epochs: 12")
    cruft.edit(f"{PACKAGE}/settings.py", "class Train(Section):", "class Train(Section):\n    patience: Positive")
    cruft.edit(f"{INSIDE}/dvc.yaml", "desc: Trains the model", "desc: Trains")
    (cruft.template.root / INSIDE / "docs" / "new.md").write_text("# {{ cookiecutter.project_name }}\n")
    (cruft.template.root / PACKAGE / "evaluation.py").unlink()
    cruft.template.commit("Newer template")

    assert "out of date" in cruft("check", code=1)
    said = cruft("update", "--skip-apply-ask")
    assert "is ready, with its first commit" not in said
    assert cruft.changed() == {
        ".cruft.json",
        "conf/train/default.yaml",
        "docs/new.md",
        "dvc.yaml",
        "traceable_digits/evaluation.py",
        "traceable_digits/settings.py",
        "traceable_digits/tables.py",
    }
    assert (project.root / "docs" / "new.md").read_text() == "# Traceable Digits\n"
    assert "lr: 0.03" in conf.read_text()
    assert "epochs: 12" in conf.read_text()
    assert {name: (project.root / name).read_bytes() for name in before} == before
    assert "up to date" in cruft("check")

    # conf/ has changed under params.yaml: the project says so, and what to do
    stopped = project.run("python", "-m", "traceable_digits.stages.config", code=1)
    assert "train.patience: None -> 3" in stopped
    assert "Run `lineage compose`" in stopped
    # by the project's own code, which knows the new setting
    assert "train.epochs: 10 -> 12" in project.run("python", "-m", "lineage.cli", "compose")
    assert project.params["project_id"].encode() in before["conf/project.yaml"]
    lineage(project, "compose", "--check")
    project.commit("Newer template")


def test_another_answer_can_be_given_later(cruft: Cruft) -> None:
    project = cruft.project
    assert (project.root / ".github" / "workflows" / "ci.yml").exists()
    cruft("update", "--skip-apply-ask", "--variables-to-update", '{"ci": "gitlab"}')
    assert cruft.changed() == {".cruft.json", ".github/workflows/ci.yml", ".gitlab-ci.yml", "README.md"}
    assert (project.root / ".gitlab-ci.yml").exists()
    project.commit("GitLab")
    cruft("update", "--skip-apply-ask", "--variables-to-update", '{"ci": "none"}')
    assert cruft.changed() == {".cruft.json", ".gitlab-ci.yml", "README.md"}
    project.commit("No CI")


def test_a_refused_answer_changes_nothing(cruft: Cruft) -> None:
    said = cruft("update", "--skip-apply-ask", "--variables-to-update", '{"dvc_remote_url": "gs://x"}', code=1)
    assert "needs dvc[gs]" in said
    assert cruft.changed() == set()


MINE = {
    ".py": "# mine\n",
    ".yaml": "# mine\n",
    ".toml": "# mine\n",
    ".md": "\nmine\n",
    ".in": "# mine\n",
    "": "# mine\n",
}
NOT_MINE = (
    "lineage/",
    ".cruft.json",
    ".dvc/",
    "params.yaml",
    "dvc.lock",
    "lineage.json",
    "LICENSE",
    "data/",
    "models/",
)


def test_an_update_replaces_the_framework_and_leaves_what_is_the_owners(
    tmp_path_factory: pytest.TempPathFactory, installed: Project, lineage: Lineage
) -> None:
    cruft = Cruft(tmp_path_factory.mktemp("update"), installed)
    project, framework = cruft.project, cruft.template.root / INSIDE / "lineage"
    own = [name for name in project.git("ls-files").splitlines() if not name.startswith(NOT_MINE)]
    own = [name for name in own if Path(name).suffix in MINE and not name.endswith(".lock")]
    assert len(own) > 70
    for name in own:
        path = project.root / name
        path.write_text(path.read_text() + MINE[path.suffix])
    project.commit("Every file of mine")
    for path in framework.rglob("*.py"):
        path.write_text(path.read_text() + "# newer\n")
    (framework / "VERSION").write_text("0.2.0\n")
    (framework / "records" / "moments.py").rename(framework / "records" / "instants.py")
    (framework / "records" / "new.py").write_text('"""New."""\n')
    (framework / "doctor" / "hook.py").unlink()
    subprocess.run([sys.executable, TEMPLATE / "scripts" / "framework.py", framework], check=True)
    cruft.template.commit("Another framework")
    cruft("update", "--skip-apply-ask")
    changed = cruft.changed()
    assert {name for name in changed if not name.startswith("lineage/")} == {".cruft.json"}
    assert len(changed) > 150
    assert contents(project.root / "lineage") == contents(framework)
    assert all((project.root / name).read_text().endswith(MINE[Path(name).suffix]) for name in own)
    assert finding(project, lineage, "framework") == ("right", "lineage/ is version 0.2.0, as the template brought it")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def finding(project: Project, lineage: Lineage, check: str) -> tuple[str, str]:
    found = {item["check"]: item for item in json.loads(lineage.run(project, "doctor", "--json")[1])}
    return (found[check]["state"], found[check]["text"])


def test_doctor_names_a_framework_file_that_was_edited(cruft: Cruft, lineage: Lineage) -> None:
    path = cruft.project.root / "lineage" / "records" / "merkle.py"
    text = path.read_text()
    path.write_text(text + "# mine\n")
    (cruft.project.root / "lineage" / "mine.py").touch()
    state, said = finding(cruft.project, lineage, "framework")
    path.write_text(text)
    (cruft.project.root / "lineage" / "mine.py").unlink()
    assert (state, "lineage/mine.py, lineage/records/merkle.py are not as version" in said) == ("unknown", True)


def test_doctor_names_what_an_update_could_not_merge(cruft: Cruft, lineage: Lineage) -> None:
    conf = cruft.project.root / "conf" / "evaluate" / "default.yaml"
    line = next(line for line in conf.read_text().splitlines() if line.startswith("batch_size"))
    conf.write_text(conf.read_text().replace(line, "batch_size: 17"))
    cruft.project.commit("My batches")
    cruft.edit(f"{INSIDE}/conf/evaluate/default.yaml", line, "batch_size: 18")
    cruft.template.commit("Other batches")
    cruft("update", "--skip-apply-ask")
    state, said = finding(cruft.project, lineage, "merge")
    assert (state, "conf/evaluate/default.yaml" in said) == ("wrong", True)
    cruft.project.git("reset", "--quiet", "--hard")
    cruft.project.git("clean", "--quiet", "--force")
