"""The manual: its reference is what the code says, every page is in the site, every name in MLflow is in it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from baked import TEMPLATE, Project
from manual import names, site_pages
from manual.baked import baked
from manual.reference import FOLDER

FRAMEWORK = TEMPLATE / "{{cookiecutter.project_slug}}" / "lineage"


def test_the_reference_is_what_the_code_says(tmp_path: Path) -> None:
    """In a process of its own: the framework is imported from a baked project there."""
    environment = {**os.environ, "PYTHONPATH": str(TEMPLATE / "scripts")}
    command = [sys.executable, "-B", "-m", "manual", "reference", str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert made == kept, "not up to date: make reference"


def test_every_setting_has_a_type_and_a_comment() -> None:
    page = (FOLDER / "settings.md").read_text()
    rows = re.findall(r"^\| (`[^`]+`) \| (.*?) \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) > 100
    # a callback's own settings are checked by its class when it is made, not by a type
    untyped = [key for key, _, kind, _ in rows if not kind.strip() and not key.startswith("`callbacks.")]
    assert untyped == []
    said = {key.strip("`") for key, *_, what in rows if what.strip()}
    # the comment of a section may be about the keys in it; `debug` overrides what `default` says of the same key
    unsaid = {key for row in rows if (key := row[0].strip("`")) not in said and key.rpartition(".")[0] not in said}
    assert unsaid == set()


def test_a_command_that_ends_with_a_status_of_its_own_says_which() -> None:
    """A command that calls sys.exit with something else than the usual statuses has them in its docstring."""
    silent = []
    for path in [FRAMEWORK / "cli.py", *FRAMEWORK.rglob("*commands.py"), *FRAMEWORK.rglob("*command.py")]:
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(function, ast.FunctionDef) and not function.name.startswith("_") and function.name != "main":
                exits = [call for call in ast.walk(function) if isinstance(call, ast.Call) and _is_exit(call)]
                if exits and "Exit status" not in (ast.get_docstring(function) or ""):
                    silent.append(f"{path.relative_to(FRAMEWORK)}: {function.name}")
    assert silent == []


def _is_exit(call: ast.Call) -> bool:
    is_text = bool(call.args) and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    return ast.unparse(call.func) == "sys.exit" and not is_text


def test_every_page_is_in_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_pages, "MANUAL", tmp_path / "manual")
    config = tomllib.loads(site_pages.write_pages().read_text(encoding="utf-8"))
    shown = [*_paths(config["project"]["nav"])]
    there = {path.relative_to(tmp_path / "manual" / "pages").as_posix() for path in tmp_path.rglob("*.md")}
    assert len(shown) == len({*shown})
    assert {*shown} == there
    assert {f"how-to/{path.name}" for path in FRAMEWORK.parent.glob("docs/*.md")} <= there


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_the_repository_lead_somewhere(page: str) -> None:
    text = (TEMPLATE / page).read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)#:]+)[)#]|(?:src|srcset)=\"([^\":]+)\"", text)
    for path in (markdown or html for markdown, html in found):
        assert (TEMPLATE / path).exists(), f"{page}: {path}"


def _paths(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [path for each in (nav.values() if isinstance(nav, dict) else nav) for path in _paths(each)]


def test_every_name_in_a_store_is_in_the_reference(linked: Project) -> None:
    """What a pipeline, `link` and the registry have written: no name that the page lacks, no score that it invents."""
    with baked() as root:
        tags = {name for row in names.tag_rows(root) for name in row[0]} | {*names.OWN}
        settings = names.params_of(root)
    store = linked.store()
    runs = {stage: store.runs(stage) for stage in names.WITH_RUNS}
    assert all(runs.values())
    for stage, found in runs.items():
        for run in found:
            assert {*run.data.tags} - tags == set()
            assert {*run.data.metrics} - {*names.METRICS} == set()
            logged = {*run.data.params} - {"data_git_commit_id"}
            assert {key for key in logged if not _is_below(key, settings[stage])} == set()
            assert {key for key in settings[stage] if not any(_is_below(each, {key}) for each in logged)} == set()
    unconditional = {name for name, (where, _) in names.METRICS.items() if ", with `" not in where}
    assert unconditional == {name for found in runs.values() for run in found for name in run.data.metrics}
    for version in store.versions():
        assert {*version.tags} - tags == set()
        assert {*store.client.get_registered_model(version.name).tags} - tags == set()


def _is_below(key: str, groups: set[str]) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def test_the_manual_is_published(tmp_path: Path) -> None:
    """The last step of the workflow, as a runner would do it, twice, with a repository on this machine."""
    workflow = yaml.safe_load((TEMPLATE / ".github" / "workflows" / "manual.yml").read_text())
    step = workflow["jobs"]["publish"]["steps"][-1]
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "origin.git")], check=True)
    for commit in ("one", "two"):
        site = tmp_path / commit
        site.mkdir()
        (site / "index.html").write_text(commit)
        values = {"TOKEN": "secret", "ADDRESS": str(tmp_path / "origin.git"), "COMMIT": commit}
        assert {*values} == {*step["env"]}
        subprocess.run(["bash", "-e", "-c", step["run"]], cwd=site, env={**os.environ, **values}, check=True)
    show = ["git", "-C", str(tmp_path / "origin.git"), "show", "gh-pages:index.html"]
    assert subprocess.run(show, check=True, capture_output=True, text=True).stdout == "two"
