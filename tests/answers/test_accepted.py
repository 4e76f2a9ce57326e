"""Answers that work: each tree is whole, rendered, valid and clean."""

from __future__ import annotations

import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from baked import TEMPLATE, Project
from pytest_cookies.plugin import Cookies
from trees import WORKFLOWS, expected, found, parsed, refused_by_windows, unrendered

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-app/app-A1B2"
# these two interact: whether others can reach the data of the models that they see
PLACES = [
    ("../dvc-remote", "sqlite:///mlflow.db"),
    ("../dvc-remote", "sqlite:////srv/data/mlflow.db"),
    ("/srv/Datensätze O'Brien 100%/数据 $x; [a]=b", "http://127.0.0.1:5000"),
    ("~/dvc", "http://localhost:5000/mlflow"),
    ("s3://the-data/dvc", "sqlite:///runs/läufe.db"),
    ("s3://the-data", "https://mlflow.example.org/prefix"),
    ("s3://the-data/dvc", ARN),
    ("s3://the-data/dvc/", "http://[::1]:5000"),
]
HOSTILE = """ "quo'te" `tick` C:\\new\\x \\ : - # {x} ${y} %s %(z)s <b> & 👩‍🔬 Größe 数字 \\" '''""".strip()
# the rest is cycled through them
REST = [
    {},
    {
        "license": "Apache-2.0",
        "ci": "gitlab",
        "ci_jobs": "report",
        "project_name": "Ünï 2.0 & 数字" + 20 * " very long",
    },
    {"license": "BSD-3-Clause", "ci": "none", "project_slug": "Scans-v2_b-x", "infra": "yes"},
    {"license": "proprietary", "ci": "github", "ci_jobs": "report", "package_name": "scans2", "infra": "yes"},
    {"license": "MIT", "ci": "gitlab", "project_name": HOSTILE, "description": HOSTILE, "author": HOSTILE},
    {"license": "Apache-2.0", "ci": "none", "ci_jobs": "train", "project_name": "🙂", "author": 'Doe, J. "X" \\'},
    {
        "license": "BSD-3-Clause",
        "author": HOSTILE,
        "description": "ends with \\",
        "ci": "gitlab",
        "ci_jobs": "train",
        "infra": "yes",
    },
    {"license": "proprietary", "author": HOSTILE, "package_name": "lineages", "ci_jobs": "train"},
]
CROSSED = [
    {"dvc_remote_url": remote, "mlflow_tracking_uri": uri, **rest}
    for (remote, uri), rest in zip(PLACES, cycle(REST), strict=False)
]
LICENSES = {
    "MIT": ("MIT License", "OTHER DEALINGS IN THE\nSOFTWARE."),
    "Apache-2.0": ("Version 2.0, January 2004", "limitations under the License."),
    "BSD-3-Clause": ("BSD 3-Clause License", "OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE."),
    "proprietary": ("All rights reserved.", "written permission of the copyright holder."),
}


@pytest.mark.parametrize("answers", CROSSED, ids=[str(number) for number in range(len(CROSSED))])
def test_a_tree_is_whole_rendered_valid_and_clean(answers: dict[str, str], cookies: Cookies) -> None:
    result = cookies.bake(template=str(TEMPLATE), extra_context=answers)
    assert result.exception is None
    root, given = result.project_path, result.context
    package, ci = given["package_name"], given["ci"]

    assert found(root) == expected(package, ci, given["ci_jobs"], given["infra"])
    assert unrendered(root) == []
    assert not [name for name in found(root) if refused_by_windows(name)]
    assert not [path for path in root.iterdir() if path.is_dir() and not any(path.iterdir())]
    says(root, parsed(root), given)
    readable(root, given)
    for command in (["check"], ["format", "--check", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, "--no-cache", "."], cwd=root, check=True)


def says(root: Path, documents: dict[str, Any], given: dict[str, str]) -> None:
    """The answers came through every format as they were given."""
    project = documents["pyproject.toml"]["project"]
    assert project["name"] == given["project_slug"]
    assert project["description"] == given["description"]
    assert project["authors"] == [{"name": given["author"]}]
    assert project["license"] == given["license"].replace("proprietary", "LicenseRef-Proprietary")
    places = {"uri": given["mlflow_tracking_uri"], "candidate_branches": None}
    places |= dict.fromkeys(("experiment", "model_name"), given["project_slug"])
    assert documents["conf/tracking/default.yaml"] == documents["params.yaml"]["tracking"] == places
    remote = given["dvc_remote_url"]
    anchored = remote if "://" in remote else str((root / Path(remote).expanduser()).resolve())
    assert documents[".dvc/config"]['remote "storage"']["url"] == anchored
    workflow = documents.get(WORKFLOWS.get(given["ci"], ""))
    assert (workflow is None) == (given["ci"] == "none")


def readable(root: Path, given: dict[str, str]) -> None:
    assert (root / "README.md").read_text(encoding="utf-8").splitlines()[0] == f"# {given['project_name']}"
    text = (root / "LICENSE").read_text(encoding="utf-8")
    first, last = LICENSES[given["license"]]
    assert given["author"] in text
    assert first in text
    assert text.endswith(f"{last}\n")
    commit = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    assert commit.stdout == ""


def test_two_bakes_differ_in_their_id_alone(cookies: Cookies) -> None:
    trees = [cookies.bake(template=str(TEMPLATE)).project_path for _ in range(2)]
    differ = {name for name in found(trees[0]) if len({(root / name).read_bytes() for root in trees}) == 2}
    # the remote is a folder beside each; the digest of conf/ holds the id
    assert differ == {".dvc/config", "conf/project.yaml", "params.yaml"}


def test_hostile_answers_make_a_project_that_setuptools_installs(cookies: Cookies, tmp_path: Path) -> None:
    answers = {"project_slug": "a-b_c", "description": HOSTILE, "author": HOSTILE}
    root = cookies.bake(template=str(TEMPLATE), extra_context=answers).project_path
    build = (
        f"from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_editable({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", build], cwd=root, check=True, capture_output=True)
    metadata = next(tmp_path.glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
    assert f"Summary: {HOSTILE}" in metadata
    assert f"Author: {HOSTILE}" in metadata


def test_what_is_rendered_is_what_hydra_composes(cookies: Cookies, installed: Project) -> None:
    answers = {
        "project_slug": "Scans-v2_b-x",
        "dvc_remote_url": "../O'Brien 100%/数据 $x; [a]=b",
        "mlflow_tracking_uri": "sqlite:///runs/läufe@1=2.db",
    }
    root = cookies.bake(template=str(TEMPLATE), extra_context=answers).project_path
    project = Project(root, installed.venv, installed.environment)
    assert "values changed: 0" in project.run("python", "-m", "lineage.cli", "compose")
    assert project.git("status", "--porcelain") == ""
    assert Path(project.dvc("config", "remote.storage.url").strip()) == root.parent / "O'Brien 100%" / "数据 $x; [a]=b"


def test_a_store_of_another_name_is_not_taken_into_git(cookies: Cookies) -> None:
    answers = {"mlflow_tracking_uri": "sqlite:///runs/my.db"}
    root = cookies.bake(template=str(TEMPLATE), extra_context=answers).project_path
    (root / "runs").mkdir()
    (root / "runs" / "my.db").touch()
    ignored = subprocess.run(["git", "check-ignore", "runs/my.db"], cwd=root, capture_output=True, check=False)
    assert ignored.returncode == 0


def test_windows_can_hold_the_template_itself() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TEMPLATE, capture_output=True, text=True, check=True).stdout
    assert not [name for name in listed.split("\0") if name and refused_by_windows(name)]
