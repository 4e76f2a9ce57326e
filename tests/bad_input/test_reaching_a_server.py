"""Whatever MLflow's own client reaches, every command reaches; where it does not, the answer says why."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from baked import Project
from command import Lineage
from servers import NOWHERE, fronting, make_certificates, mlflow_server

USER, PASSWORD = "ann", "open sesame"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def server(installed: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(installed, tmp_path_factory.mktemp("server") / "mlflow.db") as address:
        yield address


@pytest.fixture
def project(baseline: Project, tmp_path: Path) -> Project:
    """A clone without its data."""
    subprocess.run(["git", "clone", "--quiet", str(baseline.root), str(tmp_path / "clone")], check=True)
    return Project(tmp_path / "clone", baseline.venv, baseline.environment)


def at(project: Project, uri: str, **environment: str) -> Project:
    """The project with its runs at `uri`, in the hands of somebody with this environment."""
    path = project.root / "params.yaml"
    path.write_text(re.sub(r"^  uri: .*", f"  uri: {uri}", path.read_text(), flags=re.MULTILINE))
    return Project(project.root, project.venv, {**project.environment, **environment})


def doctor(project: Project, lineage: Lineage) -> dict[str, str]:
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    return next(item for item in found if item["check"] == "MLflow")


def assert_reached(project: Project, lineage: Lineage) -> None:
    found = doctor(project, lineage)
    assert found["state"] == "right", found
    assert "0 runs and versions looked at" in lineage(project, "link")


def test_a_certificate_of_ones_own(server: str, project: Project, lineage: Lineage, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    authority = str(certificates / "ca.pem")
    with fronting(server, certificates=certificates) as address:
        stranger = at(project, address)
        found = doctor(stranger, lineage)
        assert (found["state"], "certificate that is not trusted here" in found["text"]) == ("wrong", True)
        assert found["fix"].startswith("export MLFLOW_TRACKING_SERVER_CERT_PATH=")
        said = lineage(stranger, "link", code=1)
        assert "certificate that is not trusted here" in said
        assert "Start it" not in said
        for variables in (
            {"MLFLOW_TRACKING_SERVER_CERT_PATH": authority},
            {"REQUESTS_CA_BUNDLE": authority},
            {"MLFLOW_TRACKING_INSECURE_TLS": "true"},
        ):
            assert_reached(at(project, address, **variables), lineage)
        absent = at(project, address, MLFLOW_TRACKING_SERVER_CERT_PATH="/nowhere/ca.pem")
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH or REQUESTS_CA_BUNDLE" in doctor(absent, lineage)["text"]
        both = {"MLFLOW_TRACKING_SERVER_CERT_PATH": authority, "MLFLOW_TRACKING_INSECURE_TLS": "true"}
        assert "exclude each other" in lineage(at(project, address, **both), "link", code=1)


def test_a_certificate_of_the_client(server: str, project: Project, lineage: Lineage, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    trusted = {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(certificates / "ca.pem")}
    with fronting(server, certificates=certificates, mutual=True) as address:
        found = doctor(at(project, address, **trusted), lineage)
        assert (found["state"], "does not accept this client" in found["text"]) == ("wrong", True)
        assert found["fix"].startswith("export MLFLOW_TRACKING_CLIENT_CERT_PATH=")
        known = {**trusted, "MLFLOW_TRACKING_CLIENT_CERT_PATH": str(certificates / "server.pem")}
        assert_reached(at(project, address, **known), lineage)


def test_http_is_asked_over_tls(server: str, project: Project, lineage: Lineage) -> None:
    found = doctor(at(project, server.replace("http:", "https:")), lineage)
    assert (found["state"], "does not speak TLS" in found["text"]) == ("wrong", True)


def test_a_prefix_a_password_and_a_token(server: str, project: Project, lineage: Lineage) -> None:
    with fronting(server, prefix="/team/mlflow", authorization=BASIC) as address:
        assert "refuses this user (401)" in doctor(at(project, address), lineage)["text"]
        known = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        assert_reached(at(project, address, **known), lineage)
        assert doctor(at(project, address.replace("/team", "/other"), **known), lineage)["state"] == "unknown"
    with fronting(server, authorization="Bearer abc") as address:
        assert_reached(at(project, address, MLFLOW_TRACKING_TOKEN="abc"), lineage)


def test_a_proxy(server: str, project: Project, lineage: Lineage) -> None:
    with fronting(server) as proxy:
        assert_reached(at(project, f"http://{NOWHERE}", HTTP_PROXY=proxy), lineage)
        assert_reached(at(project, server, HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="127.0.0.1"), lineage)
        found = doctor(at(project, f"http://{NOWHERE}", HTTP_PROXY="http://127.0.0.1:9"), lineage)
    assert (found["state"], "through the proxy" in found["text"]) == ("wrong", True)
