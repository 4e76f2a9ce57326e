"""A small project for tests of `lineage gc`: real Git, objects as DVC lays them, a real MLflow store, no stages.

Nobody trains here: dvc.lock and lineage.json are written as a run would leave them, and objects hold a few letters.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Any

import yaml

from lineage.base.errors import LineageError
from lineage.collection.execute import Done, execute
from lineage.collection.plan import Plan, Wanted, make
from lineage.dvc.hashes import sha256_of_json
from lineage.dvc.remote import object_path
from lineage.proof.case import Evidence, ModelCase
from lineage.proof.links.objects import _objects

from .conftest import EXAMPLE
from .test_git_models import entry, text_of

USER = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
NAME = "scans"
WEIGHTS, RUN = "models/model.safetensors", "models/run.json"
BOTH = ("cache", "remote")


@dataclass
class Result:
    """What the stages of one run would have left."""

    lock: str
    document: dict[str, Any]
    identity: str
    dataset: str
    objects: set[str]


@dataclass
class World:
    """The project. `reset` makes it again, under another project_id, in the same MLflow store."""

    base: Path
    params: str
    number: int = 0
    versions: int = 0
    client: Any = None
    results: list[Result] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.base / "project"

    @property
    def remote(self) -> Path:
        return self.base / "remote"

    @property
    def project_id(self) -> str:
        return f"project-{self.number}"

    def reset(self) -> World:
        """A project with an empty cache and remote, and one commit."""
        self.number, self.results = self.number + 1, []
        for folder in (self.root, self.remote):
            shutil.rmtree(folder, ignore_errors=True)
        (self.root / ".dvc").mkdir(parents=True)
        (self.remote / "files" / "md5").mkdir(parents=True)
        config = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {self.remote}\n"
        (self.root / ".dvc" / "config").write_text(config)
        (self.root / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n/mlartifacts\n")
        shutil.copyfile(EXAMPLE / "dvc.yaml", self.root / "dvc.yaml")
        document = yaml.safe_load(self.params)
        document["project_id"] = self.project_id
        document["tracking"] |= {"uri": f"sqlite:///{self.base}/mlflow.db", "model_name": NAME}
        (self.root / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        self.git("init", "--quiet")
        self.commit("first")
        return self

    def git(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(["git", *USER, *arguments], cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == code or code < 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str = "x") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def put(self, text: str, places: Iterable[str] = BOTH, ending: str = "") -> str:
        """An object of this content; of one project, no other has the same."""
        data = (text if ending else f"{self.project_id} {text}").encode()
        name = f"{md5(data).hexdigest()}{ending}"  # noqa: S324
        folders = {"cache": self.root / ".dvc" / "cache", "remote": self.remote}
        for place in places:
            path = object_path(folders[place], name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return name

    def folder(self, files: dict[str, str], places: Iterable[str] = BOTH) -> tuple[str, dict[str, str]]:
        """The listing of a folder, and its files by path."""
        hashes = {path: self.put(text, places) for path, text in files.items()}
        entries = [{"md5": each, "relpath": path} for path, each in sorted(hashes.items())]
        return self.put(json.dumps(entries), places, ".dir"), hashes

    def run(self, raw: str, data: str, model: str, places: Iterable[str] = BOTH) -> Result:
        """What a run leaves here: objects, dvc.lock, lineage.json. Equal words are equal data."""
        raws, raw_files = self.folder({"records.parquet": f"raw {raw}", "shared.csv": "the same in all"}, places)
        shards = {"manifest.parquet": f"rows {raw} {data}", "shards/0.parquet": f"images {raw} {data}"}
        dataset, files = self.folder(shards, places)
        weights, run = self.put(f"weights {raw} {data} {model}", places), self.put(f"run {raw} {data} {model}", places)
        scores, said = self.put(f"scores {model} {raw}", places), self.put(f"predictions {model} {raw}", places)
        stages = {
            "fetch": entry({}, {"data/raw": raws}),
            "preprocess": entry({"data/raw": raws}, {"data/processed": dataset}),
            "train": entry({"data/processed": dataset}, {WEIGHTS: weights, RUN: run}),
            "evaluate": entry(
                {"data/processed": dataset, WEIGHTS: weights},
                {"data/predictions.parquet": said, "metrics/test.json": scores},
            ),
        }
        identity = sha256_of_json(yaml.safe_load(text_of(stages))["stages"]["train"])
        document = {
            "model": {"name": NAME, "identity": identity, "md5": weights},
            "training_run": {"md5": run},
            "dataset": {"md5": dataset, "files": [{"path": p, "md5": m, "size": 1} for p, m in files.items()]},
            "raw": {"md5": raws, "files": [{"path": p, "md5": m, "size": 1} for p, m in raw_files.items()]},
        }
        objects = {raws, *raw_files.values(), dataset, *files.values(), weights, run, scores, said}
        result = Result(text_of(stages), document, identity, dataset, objects)
        self.results.append(result)
        self.write(result)
        return result

    def write(self, result: Result) -> None:
        (self.root / "dvc.lock").write_text(result.lock)
        (self.root / "lineage.json").write_text(json.dumps(result.document))

    def register(self, result: Result, **more: str) -> Any:
        """A version of it in MLflow."""
        tags = {
            "project_id": self.project_id,
            "model_identity": result.identity,
            "dvc_data_md5": result.dataset,
            "dvc_model_md5": result.document["model"]["md5"],
            "dvc_run_md5": result.document["training_run"]["md5"],
        }
        self.versions += 1
        return self.client.create_model_version(NAME, f"s3://nowhere/{self.versions}", tags=tags | more)

    def there(self) -> dict[str, set[str]]:
        """The objects that lie in cache and remote."""
        roots = {"cache": self.root / ".dvc" / "cache", "remote": self.remote}
        return {
            place: {f"{path.parent.name}{path.name}" for path in (folder / "files" / "md5").glob("??/*")}
            for place, folder in roots.items()
        }

    def evidence(self) -> Evidence:
        return Evidence(self.root)

    def plan(self, **wanted: Any) -> Plan:
        """As `lineage gc --plan --older-than 0 --cloud --alone`, if nothing else is wanted."""
        return make(self.evidence(), Wanted(**{"days": 0.0, "cloud": True, "alone": True, **wanted}))

    def execute(self, plan: Plan) -> Done:
        return execute(self.evidence(), plan, "a test")

    def needed_by_verify(self) -> dict[str, set[str]]:
        """What `lineage verify` asks the remote for, of each version of this project that a commit holds."""
        evidence, found = self.evidence(), dict[str, set[str]]()
        for case in (ModelCase(evidence, version) for version in evidence.store.versions):
            with suppress(LineageError):
                _ = case.commit
                found[case.title] = {md5 for md5, _, _ in _objects(case)}
        return found


def going(plan: Plan) -> set[str]:
    """The objects that may go, in whatever place."""
    return {each.md5 for each in plan.going}


def experiment(world: World, name: str) -> None:
    """What lies here, as an experiment of DVC keeps it, and then the workspace as it was."""
    baseline = world.git("rev-parse", "HEAD")
    world.commit(name)
    head = world.git("rev-parse", "HEAD")
    world.git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", head)
    world.git("reset", "--quiet", "--hard", baseline)


def without_reflog(world: World) -> None:
    """Nothing but refs leads to a commit any more."""
    world.git("reflog", "expire", "--expire=now", "--all")
    world.git("gc", "--quiet", "--prune=now")


def environment() -> dict[str, str]:
    """Who commits, for Git that the framework calls."""
    return {
        **{
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "T"), ("EMAIL", "t@e"))
        },
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
