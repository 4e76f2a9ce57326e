"""A baked project as tests see it: its commands, its files, its DVC remote, its MLflow store."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml
from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[1]
PERCEPTRON = Path(__file__).with_name("perceptron")
GUARD = Path(__file__).with_name("loopback_only")  # on PYTHONPATH: see sitecustomize.py there
FORKED = ("dvc", "lineage")  # the programs of warm.py
STAGE = ("python", "-I", "scripts/stage.py")
# what would reach the project from around the tests
FOREIGN = ("GIT_", "DVC_", "MLFLOW_", "PYTHON", "VIRTUAL_ENV", "PYTEST_")


@dataclass
class Project:
    """A baked project, or a clone of one, with the environment to work in it activated."""

    root: Path
    venv: Path
    environment: dict[str, str] = field(default_factory=dict)
    # runs dvc and lineage without waiting for imports, where the fixture `lineage` is at hand
    fork: ClassVar[Callable[..., tuple[int, str]] | None] = None
    # what of that which these start is a fork as well: "all", "stages" but not what they start, or "none"
    forks: ClassVar[str] = "all"
    # likewise starts the server of MLflow, and returns the number of its process
    serve: ClassVar[Callable[..., int] | None] = None

    def __post_init__(self) -> None:
        self.environment = dict(self.environment)  # what one test sets must not reach another

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Starts a command in the project and does not wait for it."""
        options = {"cwd": self.root, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        return subprocess.Popen(command, text=True, env=self.variables, **options)

    @property
    def variables(self) -> dict[str, str]:
        """All variables of the environment that its commands run in."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        path = os.pathsep.join([str(self.venv / "bin"), os.environ["PATH"]])
        return {**clean, "PATH": path, **self.environment}

    def run(self, *command: str, code: int | None = 0, **options: Any) -> str:
        """Output of a command, standard error included. Fails the test unless it exits with `code` (None: any)."""
        is_forked = command[0] in FORKED or (command[:3] == STAGE and Project.forks != "none")
        if is_forked and not options and Project.fork is not None and self._forks:
            status, output = Project.fork(self, *command)
        else:
            process = self.start(*command, **options)
            output, status = process.communicate()[0], process.returncode
        assert code is None or status == code, f"{' '.join(command)}: {status}\n{output}"
        return output

    @property
    def _forks(self) -> bool:
        """Whether a fork does: a variable for Python itself is one for a new process.

        Not where to find the guard, or the project's own package.
        """
        of_python = {name: value for name, value in self.environment.items() if name.startswith("PYTHON")}
        return not of_python or of_python in ({"PYTHONPATH": str(GUARD)}, {"PYTHONPATH": str(self.root)})

    def dvc(self, *arguments: str, code: int | None = 0) -> str:
        return self.run("dvc", *arguments, code=code)

    @contextlib.contextmanager
    def queue_workers(self, count: int) -> Iterator[None]:
        """Workers of DVC's queue. They are ended with the block: one that misses DVC's own sign to stop waits for ever.

        They inherit the output of `dvc queue start`, so nobody may wait for the end of that.
        """
        self.run("dvc", "queue", "start", "--jobs", str(count), stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            for file in (self.root / ".dvc" / "tmp" / "exps" / "celery").glob("*.json"):
                worker = json.loads(file.read_text())
                if worker.get("returncode") is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker["pid"], signal.SIGKILL)

    def mend_dvc(self) -> None:
        """What doctor advises after dvc was ended: that may have been while it wrote its notes."""
        findings = json.loads(self.run("lineage", "doctor", "--json", code=None))
        notes = next(finding for finding in findings if finding["check"] == "DVC")
        if notes["state"] == "wrong":
            self.run(*shlex.split(notes["fix"]))

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).strip()

    def add_origin(self, folder: Path) -> None:
        """Makes a bare repository, the remote that main is pushed to."""
        self.git("init", "--quiet", "--bare", str(folder))
        self.git("remote", "add", "origin", str(folder))
        self.git("push", "--quiet", "--set-upstream", "origin", "main")

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

    @cached_property
    def remote(self) -> Path:
        """The folder that is the DVC remote."""
        config = configparser.RawConfigParser()
        config.read([self.root / ".dvc" / "config", self.root / ".dvc" / "config.local"])
        return Path(config["'remote \"storage\"'"]["url"])

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

    def commit_of(self, subject: str) -> str:
        """The commit with this subject, of any ref."""
        return self.git("log", "--all", "--format=%H", f"--grep=^{subject}$")

    def version_tags(self, number: str) -> dict[str, str]:
        """The tags of a version of the model in the embedded store."""
        return dict(self.store().client.get_model_version("traceable-digits", number).tags)

    def own_raw_data(self) -> None:
        """`dvc add data/raw` in place of the stage fetch."""
        pipeline = self.root / "dvc.yaml"
        text = pipeline.read_text()
        pipeline.write_text(text[: text.index("  fetch:")] + text[text.index("  preprocess:") :])
        self.dvc("add", "--quiet", "data/raw")

    def results(self) -> dict[str, bytes]:
        """What stages made and recorded, by path."""
        places = [self.root / "dvc.lock", self.root / "lineage.json"]
        for name in ("data/processed", "models", "metrics", "plots"):
            places += (self.root / name).rglob("*")
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in places if path.is_file()}

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
        copy.artifacts_were_at(self.root)
        return copy

    def artifacts_were_at(self, former: Path) -> None:
        """Tells the embedded store that its artifacts were moved here: MLflow keeps their places as absolute paths."""
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
        ):
            self.sql(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", str(former), str(self.root))

    def clone(self, folder: Path) -> Project:
        """A second clone with the same remote, its data pulled, and a store of its own."""
        clone = self.clone_without_data(folder)
        clone.dvc("pull", "--quiet")
        return clone

    def clone_without_data(self, folder: Path) -> Project:
        """A second clone, into which nothing was pulled."""
        subprocess.run(["git", "clone", "--quiet", str(self.root), str(folder)], check=True)
        return Project(folder, self.venv, self.environment)


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


def bake(folder: Path, **answers: str) -> Path:
    """Bakes the template into `folder` and returns the project's root."""
    return Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=str(folder), extra_context=answers))


def use_perceptron(root: Path) -> None:
    """Gives a new project the small network of tests/perceptron, in its first commit.

    Most tests are about what the framework does with a model, whatever it is. Those of a project as it is baked, with
    torch, have the fixture `default`.
    """
    package = root / "traceable_digits"
    shutil.copytree(PERCEPTRON, package, dirs_exist_ok=True)
    serving = package / "serving.py"
    text = serving.read_text()
    for old, new in (
        ("        import torch\n\n        from .model.inference import predict\n\n", ""),
        ("predict(self._network, torch.from_numpy(pixels), BATCH).double().numpy()", "self._network.predict(pixels)"),
        ("from .model import checkpoint\n", "from .model import perceptron as checkpoint\n"),
        (', "torch")', ")"),
        ("    from torch import nn\n", "\n    from .model.perceptron import Perceptron\n"),
        ("nn.Module", "Perceptron"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    serving.write_text(text)
    git = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    subprocess.run([*git, "add", "--all"], cwd=root, check=True)
    subprocess.run([*git, "commit", "--quiet", "--no-verify", "--amend", "--no-edit"], cwd=root, check=True)


def remove_hooks(root: Path) -> None:
    """Git's hooks taken out of a project: their work in the background would race with the tests."""
    for name in ("post-commit", "post-merge"):
        (root / ".git" / "hooks" / name).unlink()
