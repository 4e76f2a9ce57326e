"""One project is baked, installed and run once per session; tests examine it, or a clone of it, as its users would."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
import yaml
from cookiecutter.main import cookiecutter
from filelock import FileLock

TEMPLATE = Path(__file__).resolve().parents[1]
# what would reach the project from around the tests
FOREIGN = ("GIT_", "DVC_", "MLFLOW_", "PYTHON", "VIRTUAL_ENV", "PYTEST_")


@dataclass
class Project:
    """A baked project, or a clone of one, with the environment to work in it activated."""

    root: Path
    venv: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Starts a command in the project and does not wait for it."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        path = os.pathsep.join([str(self.venv / "bin"), os.environ["PATH"]])
        environment = {**clean, "PATH": path, **self.environment}
        options = {"cwd": self.root, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        return subprocess.Popen(command, text=True, env=environment, **options)

    def run(self, *command: str, code: int | None = 0, **options: Any) -> str:
        """Output of a command, standard error included. Fails the test unless it exits with `code` (None: any)."""
        process = self.start(*command, **options)
        output = process.communicate()[0]
        assert code is None or process.returncode == code, f"{' '.join(command)}: {process.returncode}\n{output}"
        return output

    def dvc(self, *arguments: str, code: int | None = 0) -> str:
        return self.run("dvc", *arguments, code=code)

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).strip()

    def commit(self, message: str) -> str:
        """Commits everything and returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def compose(self, *overrides: str) -> str:
        return self.run("lineage", "compose", *overrides)

    @property
    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock."""
        return yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]

    @property
    def params(self) -> dict[str, Any]:
        return yaml.safe_load((self.root / "params.yaml").read_text())

    @property
    def lineage(self) -> dict[str, Any]:
        return json.loads((self.root / "lineage.json").read_text())

    def out(self, stage: str, path: str) -> str:
        """The hash that dvc.lock records for an output of a stage."""
        return next(out["md5"] for out in self.lock[stage]["outs"] if out["path"] == path)

    def store(self, uri: str | None = None) -> Store:
        return Store(uri or f"sqlite:///{self.root}/mlflow.db", self.params["project_id"])

    @property
    def remote(self) -> Path:
        """The folder that is the DVC remote."""
        return Path(self.run("dvc", "config", "remote.storage.url").strip())

    def object(self, md5: str) -> Path:
        """An object of the DVC remote."""
        return self.remote / "files" / "md5" / md5[:2] / md5[2:]

    def listing(self, md5: str) -> list[dict[str, str]]:
        """The entries of a folder's listing in the DVC remote."""
        return json.loads(self.object(md5).read_text())

    def cached(self, md5: str) -> Path:
        """An object of the cache."""
        return self.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]

    def sql(self, statement: str, *values: object) -> int:
        """Changes the embedded MLflow store behind MLflow's back. Returns how many rows were changed."""
        with contextlib.closing(sqlite3.connect(self.root / "mlflow.db")) as store:
            changed = store.execute(statement, values).rowcount
            store.commit()
        return changed

    def copy(self, folder: Path) -> Project:
        """Everything of this project in another place: workspace, cache, MLflow store, DVC remote, Git remote."""
        copy = Project(folder / self.root.name, self.venv, self.environment)
        shutil.copytree(self.root, copy.root, symlinks=True)
        shutil.copytree(self.remote, folder / "dvc-remote")
        (copy.root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {folder}/dvc-remote\n")
        if "origin" in self.git("remote"):
            origin = folder / "origin.git"
            shutil.copytree(self.git("remote", "get-url", "origin"), origin)
            copy.git("remote", "set-url", "origin", str(origin))
        with contextlib.closing(sqlite3.connect(copy.root / "mlflow.db")) as store:
            # MLflow keeps the places of artifacts as absolute paths
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
                ("model_versions", "storage_location"),
            ):
                move = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
                store.execute(move, (str(self.root), str(copy.root)))
            store.commit()
        return copy

    def clone(self, folder: Path) -> Project:
        """A second clone with the same remote, its data pulled, and a store of its own."""
        subprocess.run(["git", "clone", "--quiet", str(self.root), str(folder)], check=True)
        clone = Project(folder, self.venv, self.environment)
        clone.dvc("pull", "--quiet")
        return clone


class Store:
    """What MLflow holds, asked through MLflow's own client."""

    def __init__(self, uri: str, project_id: str) -> None:
        import mlflow

        mlflow.set_tracking_uri(uri)
        self.uri = uri
        self.client = mlflow.MlflowClient(uri, uri)
        self.project_id = project_id

    def runs(self, stage: str) -> list[Any]:
        """The runs of a stage of this project, oldest first."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        wanted = f"tags.project_id = '{self.project_id}' and tags.dvc_stage = '{stage}'"
        return list(self.client.search_runs(experiments, wanted, order_by=["attributes.start_time ASC"]))

    def versions(self, name: str = "traceable-digits") -> list[Any]:
        found = self.client.search_model_versions(f"name = '{name}'")
        return sorted(found, key=lambda version: int(version.version))

    def candidate(self, name: str = "traceable-digits") -> str:
        """The number of the version that the alias points to."""
        return str(self.client.get_model_version_by_alias(name, "candidate").version)

    def artifacts(self, run: Any, folder: str | None = None) -> list[str]:
        return [item.path for item in self.client.list_artifacts(run.info.run_id, folder)]


@pytest.fixture(autouse=True)
def no_leftovers_of_mlflow() -> Iterator[None]:
    """MLflow keeps its store and its active run in globals and the environment: tests must not inherit them."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].end_run()
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this session have in common."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def identity(shared: Path) -> dict[str, str]:
    """A Git identity that does not depend on the machine."""
    config = shared / "gitconfig"
    config.write_text("[user]\n\tname = Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n")
    return {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1", "DVC_NO_ANALYTICS": "1"}


def bake(folder: Path, **answers: str) -> Path:
    """Bakes the template into `folder` and returns the project's root."""
    return Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=str(folder), extra_context=answers))


@pytest.fixture(scope="session")
def installed(shared: Path, identity: dict[str, str]) -> Project:
    """A baked project after `make setup`. Nothing has run in it."""
    with FileLock(shared / "installed.lock"):
        root = shared / "installed" / "traceable-digits"
        if not root.exists():
            bake(root.parent)
            project = Project(root, root / ".venv", identity)
            project.run("make", "setup", f"PYTHON={sys.executable}")
    return Project(root, root / ".venv", identity)


@pytest.fixture(scope="session")
def baseline(shared: Path, installed: Project) -> Project:
    """A project that was run with the default settings, committed and pushed. For reading only: clone to change."""
    root = shared / "baseline" / "traceable-digits"
    project = Project(root, installed.venv, installed.environment)
    with FileLock(shared / "baseline.lock"):
        done = shared / "baseline.done"
        if not done.exists():
            shutil.rmtree(root.parent, ignore_errors=True)
            bake(root.parent)
            (shared / "baseline.log").write_text(project.dvc("repro"))
            (root / ".git" / "hooks" / "post-commit").unlink()  # its work in the background would race with the tests
            project.commit("First model")
            project.dvc("push", "--quiet")
            done.touch()
    return project


@pytest.fixture(scope="session")
def linked(shared: Path, baseline: Project) -> Project:
    """Two models, committed, pushed to a Git remote and to the DVC remote, and linked. For reading only."""
    folder = shared / "linked"
    project = Project(folder / baseline.root.name, baseline.venv, baseline.environment)
    with FileLock(shared / "linked.lock"):
        done = shared / "linked.done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            baseline.copy(folder)
            project.git("init", "--quiet", "--bare", str(folder / "origin.git"))
            project.git("remote", "add", "origin", str(folder / "origin.git"))
            # dvc writes the small number as 1e-05, which to YAML 1.1 is text
            project.compose("train=debug", "train.seed=5", "train.weight_decay=1e-5")
            project.dvc("repro")
            project.commit("Second model")
            project.git("push", "--quiet", "--set-upstream", "origin", "main")
            project.dvc("push", "--quiet")
            project.run("lineage", "link")
            done.touch()
    return project


@contextlib.contextmanager
def mlflow_server(project: Project, database: Path) -> Iterator[str]:
    """The address of a running `mlflow server` that also keeps the artifacts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = ("--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(database.parent / "kept"))
    command = ("mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *places)
    with (database.parent / "server.log").open("w") as log:
        process = project.start(*command, stdout=log)
    try:
        deadline = time.monotonic() + 900  # its first start has taken minutes on a machine that does much else
        while not answers(f"http://127.0.0.1:{port}/health"):
            log_so_far = (database.parent / "server.log").read_text()
            assert process.poll() is None and time.monotonic() < deadline, log_so_far
            time.sleep(0.1)  # between two looks at the condition
        yield f"http://127.0.0.1:{port}"
    finally:
        started = psutil.Process(process.pid)
        for server in [*started.children(recursive=True), started]:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def lineage(installed: Project) -> Iterator[Lineage]:
    """The command `lineage`, without waiting for imports."""
    package = next(installed.root.glob("*/cli.py")).parent.name
    script = str(Path(__file__).with_name("warm.py"))
    process = installed.start("python", script, package, stdin=subprocess.PIPE, stderr=None)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield Lineage(process)
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=60)


@dataclass
class Lineage:
    """Runs `lineage` in a project, forked from a process that has imported everything."""

    process: subprocess.Popen[str]

    def __call__(self, project: Project, *arguments: str, code: int | None = 0, folder: Path | None = None) -> str:
        """Output of the command. Fails the test unless it exits with `code` (None: any)."""
        status, output, errors = self.run(project, *arguments, folder=folder)
        assert code is None or status == code, f"lineage {' '.join(arguments)}: {status}\n{output}{errors}"
        return output if status == 0 else output + errors

    def ask(self, project: Project, *arguments: str, folder: Path | None = None) -> tuple[int, str]:
        """Exit status of the command, and what it printed to either stream."""
        status, output, errors = self.run(project, *arguments, folder=folder)
        return status, output + errors

    def run(self, project: Project, *arguments: str, folder: Path | None = None) -> tuple[int, str, str]:
        """Exit status, output and error output of the command."""
        path = os.pathsep.join([str(project.venv / "bin"), os.environ["PATH"]])
        environment = {**project.environment, "PATH": path}
        request = {"cwd": str(folder or project.root), "arguments": arguments, "environment": environment}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        status, output, errors = json.loads(self.process.stdout.readline())
        return status, output, errors

    def verify(self, project: Project, *arguments: str) -> Proof:
        """The answer of `lineage verify`, as JSON says it."""
        status, output, errors = self.run(project, "verify", "--json", *arguments)
        if not output:
            return Proof(status, "", [], errors)
        document = json.loads(output)
        links = [link for model in document["models"] for link in model["links"]]
        states = {model["state"] for model in document["models"]}
        return Proof(status, states.pop() if len(states) == 1 else str(sorted(states)), links, output)


@dataclass
class Proof:
    """What `lineage verify` answered."""

    status: int
    state: str
    links: list[dict[str, Any]]
    output: str

    def link(self, name: str) -> dict[str, Any]:
        return next(link for link in self.links if link["name"] == name)

    @property
    def not_passed(self) -> dict[str, str]:
        """Text by name of the links that did not pass."""
        return {
            link["name"]: " ".join([link["text"], *link["faults"]]) for link in self.links if link["state"] != "PASS"
        }


@pytest.fixture(scope="module")
def sandbox(baseline: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone of the baseline that the tests of one module share and change in turn."""
    return baseline.clone(tmp_path_factory.mktemp("sandbox") / "project")


@pytest.fixture
def clone(baseline: Project, tmp_path: Path) -> Callable[[str], Project]:
    """Makes clones of the baseline for one test."""
    return lambda name: baseline.clone(tmp_path / name)
