"""The workflows: what GitHub takes, what GitLab takes, what both run. And those of the template itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from baked import TEMPLATE, bake

INSIDE = TEMPLATE / "{{cookiecutter.project_slug}}"
FOLDER = INSIDE / ".github" / "workflows"
GITHUB = FOLDER / "ci.yml"
OWN = TEMPLATE / ".github" / "workflows" / "ci.yml"
MANUAL = OWN.with_name("manual.yml")
WORKFLOWS = [*sorted(FOLDER.glob("*.yml")), *sorted(OWN.parent.glob("*.yml"))]
PLACES = {"dvc_remote_url": "s3://the-data/dvc", "mlflow_tracking_uri": "https://mlflow.example.org"}


def tool(name: str) -> str:
    """A program of the locks, which is beside this Python."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert found is not None, f"{name} is in requirements.lock"
    return found


def faults(workflow: Path) -> list[str]:
    command = [tool("actionlint"), "-shellcheck=", "-format", "{{json .}}", str(workflow)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [fault["message"] for fault in json.loads(done.stdout)]


def risks(folder: Path) -> list[str]:
    """What zizmor finds that an attacker could use, and what a careful reader would miss."""
    command = [tool("zizmor"), "--quiet", "--offline", "--persona=pedantic", "--format=json", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [found["ident"] for found in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """.gitlab-ci.yml by the answer to ci_jobs."""
    folder = tmp_path_factory.mktemp("gitlab")
    jobs = ("checks", "report", "train")
    return {each: bake(folder / each, ci="gitlab", ci_jobs=each, **PLACES) / ".gitlab-ci.yml" for each in jobs}


def name_of(workflow: Path) -> str:
    return f"{'template' if workflow.parent == OWN.parent else 'project'}-{workflow.stem}"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name_of)
def test_actionlint_finds_no_fault_in_githubs(workflow: Path) -> None:
    assert faults(workflow) == []


def test_zizmor_finds_no_risk() -> None:
    assert risks(FOLDER) == risks(OWN.parent) == []


def test_both_would_find_one(tmp_path: Path) -> None:
    wrong = tmp_path / ".github" / "workflows" / "ci.yml"
    wrong.parent.mkdir(parents=True)
    wrong.write_text(GITHUB.read_text().replace("matrix.python }}", "matrix.pythom }}"))
    assert any("pythom" in fault for fault in faults(wrong))
    wrong.write_text((FOLDER / "promote.yml").read_text().replace("scripts/ci promote", "x ${{ inputs.version }}"))
    assert risks(wrong.parent) == ["template-injection"]


@pytest.mark.parametrize("jobs", ["checks", "report", "train"])
def test_gitlabs_is_valid_by_its_schema(gitlab: dict[str, Path], jobs: str, tmp_path: Path) -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci"]
    subprocess.run([*command, str(gitlab[jobs])], check=True, capture_output=True)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(gitlab[jobs].read_text().replace("interruptible: true", "interruptible: often"))
    assert subprocess.run([*command, str(wrong)], check=False, capture_output=True).returncode == 1


def test_both_run_lint_types_and_tests_on_every_python(gitlab: dict[str, Path]) -> None:
    github = yaml.safe_load(GITHUB.read_text())["jobs"]["checks"]
    of_gitlab = yaml.safe_load(gitlab["train"].read_text())["checks"]
    commands = [step["run"] for step in github["steps"] if "run" in step]
    assert commands == of_gitlab["script"] == ["make setup", "make lint", "make test"]
    pythons = github["strategy"]["matrix"]["python"]
    assert of_gitlab["parallel"]["matrix"] == [{"VERSION": pythons}]

    makefile = (INSIDE / "Makefile").read_text()
    assert all(re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE) for command in commands)
    assert re.search(r"^lint:.*\n(\t.*\n)*\t.*mypy", makefile, re.MULTILINE)
    environment = (INSIDE / "scripts" / "environment.py").read_text()
    oldest, newest = re.search(r"OLDEST, NEWEST = \(3, (\d+)\), \(3, (\d+)\)", environment).groups()
    assert pythons == [f"3.{minor}" for minor in range(int(oldest), int(newest) + 1)]


def test_the_templates_own_runs_what_ci_run_runs_everywhere() -> None:
    jobs = yaml.safe_load(OWN.read_text())["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert matrix["python"] == yaml.safe_load(GITHUB.read_text())["jobs"]["checks"]["strategy"]["matrix"]["python"]
    assert matrix["system"] == ["ubuntu-latest", "macos-latest"]
    assert [step["run"] for step in jobs["tests"]["steps"] if "run" in step] == [".ci/run"]
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    crossed = jobs["options"]["strategy"]["matrix"]
    assert all(crossed[name] == asked[name] for name in ("ci", "ci_jobs", "infra"))
    assert jobs["long"]["steps"][-1]["run"] == "make test-long"
    assert "github.event_name == 'schedule'" in jobs["long"]["if"]


def test_the_manual_is_built_as_ci_run_builds_it() -> None:
    document = yaml.safe_load(MANUAL.read_text())
    assert document[True] == {"push": {"branches": ["main"]}}
    (job,) = document["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[0] == "make docs"
    assert "make docs" in (TEMPLATE / ".ci" / "run").read_text().splitlines()
    makefile = (TEMPLATE / "Makefile").read_text()
    assert re.search(r"^docs:.*\n(\t.*\n)*\t.*build/manual/zensical.toml", makefile, re.MULTILINE)


def test_both_services_run_the_same_jobs(gitlab: dict[str, Path]) -> None:
    """Of GitHub's, `report` differs from `train` in the option alone; so does GitLab's."""
    for jobs in ("report", "train"):
        of_gitlab = [line for line in gitlab[jobs].read_text().splitlines() if "scripts/ci " in line]
        root = bake(gitlab[jobs].parents[1] / "github", ci="github", ci_jobs=jobs, **PLACES)
        files = sorted((root / ".github" / "workflows").glob("*.yml"))
        of_github = [line for file in files for line in file.read_text().splitlines() if "scripts/ci " in line]
        said = {line.partition(".venv/bin/python ")[2] for line in of_github} - {""}
        assert said == {line.partition(".venv/bin/python ")[2] for line in of_gitlab} - {""}
        assert len(said) == 5
        # else who cancels a job tells the shell alone
        begun = [line.strip().removeprefix("- ").removeprefix("run: ") for line in (*of_github, *of_gitlab)]
        begun = [line for line in begun if ".venv/bin/python " in line]
        assert all(line.startswith("exec .venv/") or line.endswith(" stop") for line in begun)
        assert sum("--as-committed" in line for line in said) == (2 if jobs == "report" else 0)


def test_a_fork_is_given_nothing(gitlab: dict[str, Path]) -> None:
    """No job that has a secret, a role or a token that writes runs for one."""
    for workflow in FOLDER.glob("*.yml"):
        document = yaml.safe_load(workflow.read_text())
        triggers = document[True]  # YAML 1.1 reads `on` so
        assert "pull_request_target" not in triggers
        assert "workflow_run" not in triggers
        for job in document["jobs"].values():
            text = json.dumps(job)
            trusted = "secrets." in text or "write" in json.dumps(job.get("permissions", document["permissions"]))
            if trusted and "pull_request" in triggers:
                assert _is_for_no_fork(job["if"])
    rule = yaml.safe_load(gitlab["train"].read_text())["merge-request"]["rules"]
    assert [each["if"].rpartition(" && ")[2] for each in rule] == [
        "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID"
    ]


def test_what_signs_is_for_main_alone() -> None:
    """A secret of an environment is for the branches that may use it, whatever the YAML of another branch says."""
    for workflow in FOLDER.glob("*.yml"):
        for name, job in yaml.safe_load(workflow.read_text())["jobs"].items():
            text = json.dumps(job)
            signs, pushes = "secrets.LINEAGE_SIGNING_KEY" in text, "secrets.LINEAGE_CI_TOKEN" in text
            is_trusted = signs or (pushes and name != "pull-request")
            assert job.get("environment") in (("main", "production") if is_trusted else (None,))


def _is_for_no_fork(condition: Any) -> bool:
    of_this = "github.event.pull_request.head.repo.full_name == github.repository"
    parts = [part.strip() for part in str(condition).split("&&")]
    return of_this in parts or parts == ["github.event_name == 'push'"]


def test_gitlabs_variables_do_not_change_what_make_does(gitlab: dict[str, Path]) -> None:
    """They are in the environment of each job, and `PYTHON ?= python3` would take one of that name."""
    matrix = yaml.safe_load(gitlab["train"].read_text())["checks"]["parallel"]["matrix"][0]
    chosen = {name: values[0] for name, values in matrix.items()}
    runs = [
        subprocess.run(["make", "--dry-run", "setup"], cwd=INSIDE, env=env, capture_output=True, text=True, check=True)
        for env in ({**os.environ}, {**os.environ, **chosen})
    ]
    assert runs[0].stdout == runs[1].stdout
