"""An MLflow app of SageMaker's from beginning to end: made, tracked in by its ARN, asked for a proof, deleted.

Apps run MLflow 3.10.1, and this project's client is younger.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from aws_standin.container import can_run
from baked import Project
from cloud import ROLE, Cloud, cloud, settings
from command import Lineage

pytestmark = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
VERSION = "3.10.1"
MLFLOW = """#!{python}
import sys
from mlflow.cli import cli

sys.argv[0] = "mlflow"
cli()
"""


@pytest.fixture(scope="module")
def mlflow_of_apps(installed: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Executables of the MLflow that apps run, with an environment of its own. All else is that of a project."""
    folder = tmp_path_factory.mktemp("mlflow")
    subprocess.run([installed.venv / "bin" / "python", "-m", "venv", "--without-pip", str(folder)], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    (others,) = installed.venv.glob("lib/python*/site-packages")
    (own / "others.pth").write_text(f"{others}\n")
    wanted = [f"{name}=={VERSION}" for name in ("mlflow", "mlflow-skinny", "mlflow-tracing")]
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile")
    installed.run("python", "-m", "pip", "install", *quiet, "--target", str(own), *wanted)
    program = folder / "bin" / "mlflow"
    program.write_text(MLFLOW.format(python=folder / "bin" / "python"))
    program.chmod(0o755)
    return folder / "bin"


@pytest.fixture(scope="module")
def sky(
    installed: Project, lineage: Lineage, mlflow_of_apps: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("sky"), installed, mlflow_of_apps) as running:
        # where the plugin for ARNs would ask AWS: for commands here, and for jobs by the secret that they are given
        variables = {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": running.endpoint}
        running.client("secretsmanager").create_secret(Name="mlflow", SecretString=json.dumps(variables))
        running.project.environment |= variables
        yield running
        assert running.left_the_machine() == ""


def compose(sky: Cloud, uri: str) -> None:
    here = ("compute.preprocess=local", "compute.evaluate=local", "train=debug", "compute.sagemaker.secret=mlflow")
    sky.project.compose(*settings(uri, install="image"), *here)


def states(sky: Cloud, code: int = 0) -> list[dict[str, object]]:
    return list(json.loads(sky.project.run("lineage", "aws", "mlflow", "status", "--json", code=code)))


def test_from_its_making_to_its_end(sky: Cloud, lineage: Lineage) -> None:
    project = sky.project
    compose(sky, "sqlite:///mlflow.db")
    assert "this project has no MLflow app" in project.run("lineage", "aws", "mlflow", "status")
    made = project.run("lineage", "aws", "mlflow", "create")
    arn = next(word for word in made.split() if ":mlflow-app/" in word)
    assert f"{arn} is Created: MLflow {VERSION}, artifacts in s3://the-jobs/traceable-digits/mlflow." in made
    assert f"lineage compose tracking.uri={arn}" in made
    assert arn in project.run("lineage", "aws", "mlflow", "create")
    (state,) = states(sky)
    assert (state["arn"], state["in_use"]) == (arn, False)

    compose(sky, arn)
    project.dvc("repro")
    project.commit("Tracked in an app")
    project.dvc("push", "--quiet")
    project.run("lineage", "link")
    proof = lineage.verify(project, "models:/traceable-digits@candidate", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})
    assert project.lineage["model"]["tracking_uri"] == project.lineage["training_run"]["tracking_uri"] == arn
    status, said, errors = lineage.run(project, "promote", "models:/traceable-digits/1", "--to", "champion")
    assert status == 0, said + errors
    _audited(project, lineage)
    assert any(key.startswith("traceable-digits/mlflow/") for key in sky.objects("the-jobs"))
    (state,) = states(sky)
    assert state["in_use"]
    assert state["holds"] == {"experiments": 2, "model_versions": 1}

    refused = project.run("lineage", "aws", "mlflow", "delete", arn, code=1)
    assert "1 model versions" in refused
    deleted = project.run("lineage", "aws", "mlflow", "delete", arn, "--yes")
    assert "tracking.uri names it" in deleted
    (state,) = states(sky, code=1)
    assert state["status"] == "is not there"
    assert "could not" in project.run("lineage", "verify", "models:/traceable-digits/1", code=2)
    assert "PASS" in project.run("lineage", "verify", "lineage.json", code=None)


def _audited(project: Project, lineage: Lineage) -> None:
    """An older server knows fewer questions: every one that an audit asks has an answer all the same."""
    manifest = pq.read_table(project.root / "data" / "processed" / "manifest.parquet").to_pylist()
    subject = next(row["subject_id"] for row in manifest if row["split"] == "train")
    status, said, errors = lineage.run(project, "audit", "subject", subject, "--json")
    assert errors == ""
    answer = json.loads(said)
    assert (status, answer["unknown"]) == (0, [])
    assert "models:/traceable-digits/1" in said
    status, said, errors = lineage.run(project, "audit", "excluded", subject, "--since", "2020-01-01", "--json")
    assert (status, json.loads(said)["verdict"], errors) == (1, "FAILED", "")
    status, said, errors = lineage.run(project, "audit", "records", "models:/traceable-digits/1", "--json")
    assert (status, len(json.loads(said)), errors) == (0, len(manifest), "")
    findings = json.loads(project.run("lineage", "doctor", "--json", code=None))
    assert [finding for finding in findings if finding["check"] == "MLflow" and finding["state"] == "wrong"] == []


def test_an_app_of_others_is_not_deleted(sky: Cloud) -> None:
    request = {"Name": "theirs", "RoleArn": ROLE, "ArtifactStoreUri": "s3://the-artifacts/theirs"}
    arn = sky.client("sagemaker").create_mlflow_app(**request)["Arn"]
    said = sky.project.run("lineage", "aws", "mlflow", "delete", arn, "--yes", code=1)
    assert "it was not made for this project" in said
    assert arn not in sky.project.run("lineage", "aws", "mlflow", "status", code=None)


def test_what_is_missing_is_said(sky: Cloud) -> None:
    sky.project.compose("compute=sagemaker", "tracking.uri=sqlite:///mlflow.db")
    assert "Give --role" in sky.project.run("lineage", "aws", "mlflow", "create", code=1)
    said = sky.project.run("lineage", "aws", "mlflow", "create", "--role", ROLE, code=1)
    assert "Give --artifacts" in said
    nobody = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-000000000000"
    assert "there is no MLflow app" in sky.project.run("lineage", "aws", "mlflow", "delete", nobody, code=1)
