"""Answers that cannot work: one sentence that says which, and what to answer, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from baked import TEMPLATE, Project
from pytest_cookies.plugin import Cookies

REMOTE, STORE = "dvc_remote_url", "mlflow_tracking_uri"
SHARED = {"mlflow_tracking_uri": "https://mlflow.example.org"}

REFUSED = [
    # names
    ({"project_name": " "}, "project_name is empty"),
    ({"project_name": "two\nlines"}, "U+000A"),
    ({"project_name": "9 lives"}, "project_slug '9-lives' must begin with a letter"),
    ({"description": "re\u202eversed"}, "description holds the invisible character U+202E"),
    ({"author": "Ada "}, "author begins or ends with a space"),
    ({"project_slug": "9lives"}, "begin with a letter"),
    ({"project_slug": "with space"}, "begin with a letter"),
    ({"project_slug": 'q"; import os; os.abort() #'}, "begin with a letter"),
    ({"project_slug": "数字"}, "begin with a letter"),
    ({"project_slug": "trailing-"}, "end with a letter or digit"),
    ({"project_slug": "a" * 64}, "63 at most"),
    ({"project_slug": "Con"}, "Windows"),
    ({"project_slug": "dots.in.it"}, "only letters, digits, '_' and '-'"),
    ({"project_slug": "yes"}, "not text to YAML"),
    ({"project_slug": "torch", "package_name": "mine"}, "would replace a package"),
    ({"project_slug": "scikit_learn", "package_name": "mine"}, "would replace a package"),
    ({"ci_jobs": "train"}, "a file that goes with the machine of the job"),
    # packages
    ({"package_name": "a-b"}, "identifier"),
    ({"package_name": "größe"}, "identifier"),
    ({"package_name": "_private"}, "identifier"),
    ({"package_name": "class"}, "keyword"),
    ({"package_name": "match"}, "keyword"),
    ({"package_name": "json"}, "Python's own"),
    ({"package_name": "Scans"}, "small letters"),
    ({"package_name": "tests"}, "a folder of the project"),
    ({"package_name": "hydra_plugins"}, "a folder of the project"),
    ({"package_name": "lineage"}, "a folder of the project"),
    ({"package_name": "notebooks"}, "a folder of the project"),
    ({"package_name": "promotions"}, "a folder of the project"),
    ({"package_name": "nul"}, "Windows"),
    ({"package_name": "torch"}, "would hide a package"),
    ({"package_name": "pytest"}, "would hide a package"),
    ({"package_name": "sklearn"}, "would hide a package"),
    # where the data are
    ({REMOTE: "gs://bucket/x"}, "needs dvc[gs]"),
    ({REMOTE: "webdavs://host/x"}, "needs dvc[webdav]"),
    ({REMOTE: "https://host/x"}, "can seldom write to"),
    ({REMOTE: "ftp://host/x"}, "a scheme that DVC does not know"),
    ({REMOTE: "S3://bucket/x"}, "a scheme that DVC does not know"),
    ({REMOTE: "s3:bucket"}, "neither an address nor a folder"),
    ({REMOTE: "me@host:/data"}, "neither an address nor a folder"),
    ({REMOTE: "file:///srv/dvc"}, "answer its path alone"),
    ({REMOTE: "s3://"}, "no S3 bucket"),
    ({REMOTE: "s3://Bucket_1/x"}, "no S3 bucket"),
    ({REMOTE: "s3://192.168.1.1/x"}, "no S3 bucket"),
    ({REMOTE: "s3://AKIA:hunter2@bucket"}, "user, password or key"),
    ({REMOTE: "s3://bucket/x?secret=hunter2"}, "user, password or key"),
    ({REMOTE: "."}, "inside the project"),
    ({REMOTE: "data/../remote"}, "inside the project"),
    ({REMOTE: "~nobody-of-this-name/x"}, "the whole path"),
    ({REMOTE: "/srv/a#b"}, "stumbles over #"),
    ({REMOTE: "/srv/a,b"}, "stumbles over ,"),
    ({REMOTE: "/srv/{x}"}, "stumbles over {"),
    ({REMOTE: "s3://bucket/%(x)s"}, "stumbles over %("),
    ({REMOTE: "/dev/../etc/hostname"}, "is a file"),
    # where runs and models are
    ({STORE: "file:///srv/mlruns"}, "no store that this template knows"),
    ({STORE: "mlruns"}, "no store that this template knows"),
    ({STORE: "postgresql://host/mlflow"}, "no store that this template knows"),
    ({STORE: "postgresql://me:hunter2@host/mlflow"}, "an address that this template knows"),
    ({STORE: "sqlite://mlflow.db"}, "names no SQLite file"),
    ({STORE: "sqlite:///"}, "names no SQLite file"),
    ({STORE: "sqlite:///:memory:"}, "names no SQLite file"),
    ({STORE: "sqlite:///~/mlflow.db"}, "names no SQLite file"),
    ({STORE: "sqlite:///${y}.db"}, "names no SQLite file"),
    ({STORE: "sqlite:///x.db?mode=ro"}, "names no SQLite file"),
    ({STORE: "sqlite:///dvc.yaml"}, "could be a file of the project"),
    ({STORE: "sqlite:///data/raw/mlflow.db"}, "could be a file of the project"),
    ({STORE: "sqlite:///./tracking.db"}, "answer sqlite:///tracking.db."),
    ({STORE: "sqlite:///runs//tracking.db"}, "answer sqlite:///runs/tracking.db."),
    ({STORE: "sqlite:///runs/../tracking.db"}, "answer sqlite:///tracking.db."),
    ({STORE: "sqlite:///../runs/./tracking.db"}, "answer sqlite:///../runs/tracking.db."),
    ({STORE: "http://host:99999"}, "not the address of a server"),
    ({STORE: "http:/host"}, "not the address of a server"),
    ({STORE: "http://host:"}, "not the address of a server"),
    ({STORE: "https://host/${y}"}, "not the address of a server"),
    ({STORE: "https://me:hunter2@host"}, "user, password or key"),
    ({STORE: "https://host/?token=hunter2"}, "user, password or key"),
    ({STORE: "arn:aws:s3:::bucket"}, "ARN of no MLflow"),
    # the one without the other
    (SHARED, "others could not"),
    (
        {REMOTE: "/mnt/dvc", STORE: "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/one"},
        "others could not",
    ),
]


@pytest.mark.parametrize(("answers", "words"), REFUSED, ids=[" ".join(map(repr, row[0].values())) for row in REFUSED])
def test_it_is_refused_in_a_sentence_and_leaves_nothing(
    answers: dict[str, str], words: str, cookies: Cookies, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = cookies.bake(template=str(TEMPLATE), extra_context=answers)
    said = capfd.readouterr().err
    assert result.exit_code != 0
    assert words in said
    assert any(name in said for name in answers) or "project_slug" in said
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert "hunter2" not in said
    assert list(tmp_path.rglob("bake00/*")) == []


def test_what_cookiecutter_takes_for_its_own_is_refused_where_it_comes_through(tmp_path: Path) -> None:
    """Given at a prompt, an answer is not rendered; read back from a file (cruft does), it would be."""
    command = [str(Path(sys.executable).parent / "cookiecutter"), str(TEMPLATE), "-o", str(tmp_path)]
    # name, slug, package, description; the rest by default
    answers = "\n\n\nHello {{ cookiecutter.author }}\n" + "\n" * 8
    done = subprocess.run(command, input=answers, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "description holds {{" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_name_that_the_pipeline_imports_gets_through(installed: Project, tmp_path: Path) -> None:
    """The hooks against what the locks really install: a new package under another name needs a line in them."""
    find = "import importlib.metadata, json; print(json.dumps(sorted(importlib.metadata.packages_distributions())))"
    names = json.loads(installed.run("python", "-c", find))
    names += [path.name for path in (TEMPLATE / "{{cookiecutter.project_slug}}").iterdir()]
    locks = ("requirements.lock", "requirements-dev.lock")
    for name in locks:
        (tmp_path / name).write_bytes((installed.root / name).read_bytes())
    own = next(installed.root.glob("*/stages")).parent.name
    rules = hooks()
    rules["PROJECT"] = tmp_path
    passed = [
        name
        for name in names
        if name.isidentifier() and not name.startswith("_") and name != own and not refuses(rules, name)
    ]
    assert passed == []


def hooks() -> dict[str, Any]:
    """What both hooks define, without the lines at their ends, which act at once."""
    names: dict[str, Any] = {}
    for hook in ("pre_gen_project", "post_gen_project"):
        text = (TEMPLATE / "hooks" / f"{hook}.py").read_text()
        text = text.replace("{{ cookiecutter | tojson }}", "{}").rpartition("\n\n\n")[0]
        exec(compile(text, hook, "exec"), names)
    return names


def refuses(rules: dict[str, Any], package: str) -> bool:
    rules["ANSWERS"] = {"project_slug": "my-model", "package_name": package}
    if rules["package"](rules["ANSWERS"]):
        return True
    try:
        rules["refuse_taken_names"]()
    except SystemExit:
        return True
    return False
