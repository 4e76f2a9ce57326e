"""What tests of audits ask, and what they put into the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from baked import Project
from command import Lineage
from damage import manifest, put, training_run
from mlflow.entities import Dataset, DatasetInput

NAME = "traceable-digits"
UNKNOWN = "f" * 32 + ".dir"


@dataclass
class Answer:
    """What `lineage audit excluded` answered."""

    status: int
    document: dict[str, Any]

    @property
    def verdict(self) -> str:
        assert self.status == {"PASSED": 0, "FAILED": 1, "INCONCLUSIVE": 2}[self.document["verdict"]]
        return str(self.document["verdict"])

    @property
    def reasons(self) -> str:
        return "\n".join(self.document["reasons"])

    @property
    def after(self) -> list[str]:
        return [use["name"] for use in self.document["after"]]


Ask = Callable[..., Answer]


def subject(lineage: Lineage, project: Project, *ids: str) -> tuple[int, dict[str, Any]]:
    status, output, errors = lineage.run(project, "audit", "subject", "--json", "--", *ids)
    assert output, errors
    return status, json.loads(output)


def dataset(project: Project, number: str) -> str:
    return project.version_tags(number)["dvc_data_md5"]


def add_run(project: Project, md5: str, stage: str = "train", *, read: bool = True, **tags: str) -> str:
    """A run of now that works with a dataset version. It is still going on."""
    client = project.store().client
    experiment = client.get_experiment_by_name(project.params["tracking"]["experiment"])
    own = {"project_id": project.params["project_id"], "dvc_stage": stage, "dvc_data_md5": md5}
    run_id = client.create_run(experiment.experiment_id, tags={**own, **tags}).info.run_id
    if read:
        client.log_inputs(run_id, [DatasetInput(Dataset("digits", md5, "dvc", "{}"))])
    return str(run_id)


def end(project: Project, run_id: str, status: str = "FINISHED") -> None:
    project.store().client.set_terminated(run_id, status)


def tag_run(project: Project, key: str, value: str, number: str = "2") -> None:
    project.store().client.set_tag(training_run(project, number), key, value)


def tag_version(project: Project, key: str, value: str, number: str = "2") -> None:
    project.store().client.set_model_version_tag(NAME, number, key, value)


def lose_manifest(project: Project) -> None:
    md5 = manifest(project)
    project.cached(md5).unlink()
    project.object(md5).unlink()


def forge_manifest(project: Project, data: bytes) -> str:
    """Puts another manifest into dataset 2 and makes every hash of every place agree. Returns the new hash."""
    md5, old = dataset(project, "2"), manifest(project)
    new = put(project, data)
    forged = put(project, project.object(md5).read_bytes().replace(old.encode(), new.encode()), ".dir")
    identity = project.version_tags("2")["model_identity"]
    for name in ("dvc.lock", "lineage.json"):
        path = project.root / name
        path.write_text(path.read_text().replace(md5, forged))
    compute = (
        "from pathlib import Path; from lineage.dvc.recorded import Recorded; print(Recorded.here(Path.cwd()).identity)"
    )
    changed = project.run("python", "-c", compute).strip()
    edited = (project.root / "lineage.json").read_text().replace(identity, changed)
    (project.root / "lineage.json").write_text(edited)
    for table, column in (("tags", "value"), ("model_version_tags", "value"), ("datasets", "digest")):
        assert project.sql(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", forged, md5) > 0
    project.sql("UPDATE model_version_tags SET value = ? WHERE value = ?", changed, identity)
    project.git("commit", "--quiet", "--all", "--amend", "--message", "Opt-out")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")
    return forged
