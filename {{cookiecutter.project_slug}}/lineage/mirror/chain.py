"""The chain of a version as SageMaker's ML Lineage has it: artifacts, actions that made them of others, associations.

An artifact is named by the DVC remote and the hash, an action by its entry in dvc.lock: two versions of one dataset
version share it, and its making.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ..base.errors import MirrorError
from ..compute.sagemaker.lineage_sources import of_commit, of_object
from ..contract import Role
from ..dvc.dvcfile import Stage, locked_hash
from ..dvc.hashes import sha256_of_json
from ..dvc.remote import Remote
from ..git.repository import Repository
from ..proof.case import ModelCase
from ..proof.trace import PACKAGE

ARTIFACTS = {  # what becomes an artifact, with its type
    Role.RAW: "DataSet",
    Role.CONSENT: "DataSet",
    Role.DATASET: "DataSet",
    Role.PRETRAINED: "Model",
    Role.MODEL: "Model",
}
LONGEST_STAGE = 80  # characters of its name in that of an action


@dataclass(frozen=True)
class Node:
    """An artifact or an action."""

    kind: Literal["Artifact", "Action"]
    name: str
    type: str
    source: str  # SourceUri
    md5: str = ""  # of an artifact, as DVC names it
    source_id: str = ""  # of an action: SHA-256 of its entry in dvc.lock
    properties: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Edge:
    """That one led to another."""

    source: Node
    destination: Node
    type: Literal["ContributedTo", "Produced"]


class Chain:
    """That of one version. Raises LineageError where its commit is not known."""

    def __init__(self, case: ModelCase, remote: str) -> None:
        self.case, self._remote = case, remote

    @cached_property
    def edges(self) -> list[Edge]:
        """Everything that led to something."""
        return [*self._of_stages(), *self._of_package()]

    def _of_stages(self) -> Iterator[Edge]:
        recorded = self.case.recorded
        stages = recorded.pipeline.of_model()
        scores = recorded.pipeline.maker(Role.SCORES)
        for stage in [*reversed(stages), *([scores] if scores and scores not in stages else [])]:
            entry = recorded.lock.get(stage.name)
            if entry is None:
                continue
            read = [node for path in stage.deps if (node := self._artifact(path, locked_hash(entry, "deps", path)))]
            made = [node for path in stage.outs if (node := self._artifact(path, locked_hash(entry, "outs", path)))]
            if not read and not made:
                continue  # it only checks something
            commit = self._commit_of(stage, stages)
            action = self._action(stage, entry, commit)
            for node in [*([self._code(commit)] if commit else []), *read]:
                yield Edge(node, action, "ContributedTo")
            for node in made:
                yield Edge(action, node, "Produced")

    def _of_package(self) -> Iterator[Edge]:
        """The package in the Model Registry, where the version has one."""
        version, document = self.case.version, self.case.document
        arn = version.tags.get(PACKAGE) if version else None
        model = self._artifact(document["model"]["path"], document["model"]["md5"])
        if arn and model:
            yield Edge(model, Node("Artifact", _name("package", arn), "ModelPackage", arn), "ContributedTo")

    def _artifact(self, path: str, md5: str | None) -> Node | None:
        role = self.case.recorded.pipeline.role(path)
        if md5 is None or role not in ARTIFACTS:
            return None
        source = of_object(self._remote, md5)
        known = {"project_id": self.case.evidence.project_id, "lineage_role": str(role), "dvc_path": path}
        sha256 = self._sha256(role, md5)
        return Node(
            "Artifact",
            _name(str(role), source),
            ARTIFACTS[role],
            source,
            md5=md5,
            properties={**known, "dvc_md5": md5, **({"sha256": sha256} if sha256 else {})},
        )

    def _sha256(self, role: Role, md5: str) -> str:
        stated = self.case.document.get(str(role))
        return str(stated.get("sha256")) if isinstance(stated, dict) and stated.get("md5") == md5 else ""

    def _commit_of(self, stage: Stage, stages: list[Stage]) -> str | None:
        """The commit whose code a stage ran with: up to the dataset version the one that first recorded that.

        None where this clone does not know it.
        """
        maker = self.case.recorded.pipeline.maker(Role.DATASET)
        before = maker is not None and (
            stage.name == maker.name or stage in self.case.recorded.pipeline.upstream(maker)
        )
        commit = self.case.history.data_commit(self.case.dataset) if before and stage in stages else self.case.commit
        return self.case.history.resolve(commit) if commit else None

    def _code(self, commit: str) -> Node:
        source = of_commit(Repository(self.case.evidence.root).url(), commit)
        known = {"project_id": self.case.evidence.project_id, "git_commit": commit}
        return Node("Artifact", _name("code", source), "Code", source, properties=known)

    def _action(self, stage: Stage, entry: dict[str, Any], commit: str | None) -> Node:
        key, trains = sha256_of_json(entry), stage.name == self.case.training.name
        known = {"project_id": self.case.evidence.project_id, "dvc_stage": stage.name, "dvc_lock_sha256": key}
        if commit:
            known["git_commit"] = commit
        if trains:
            record = self.case.document["training_run"]
            run = {"model_identity": self.case.identity, "mlflow_run_id": record.get("run_id")}
            job = (record.get("job") or {}).get("sagemaker_job_arn")
            known |= {name: str(value) for name, value in {**run, "job": job}.items() if value}
        readable = re.sub("[^A-Za-z0-9]+", "-", stage.name).strip("-")[:LONGEST_STAGE] or "stage"
        return Node(
            "Action",
            _name(readable, self._remote, self.case.evidence.project_id, key),
            "Training" if trains else "Processing",
            f"{of_commit(None, commit or 'unknown')}#dvc.lock/{stage.name}",
            source_id=key,
            properties=known,
        )


def remote_of(case: ModelCase) -> str:
    """The address of the DVC remote. Raises MirrorError if there is none that others reach."""
    remote = Remote.of(case.evidence.root)
    if remote is None or remote.folder is not None:
        where = "there is none" if remote is None else f"{remote.url} is a folder of this machine"
        raise MirrorError(
            f"SageMaker's ML Lineage names data by the DVC remote, and {where}. `dvc remote add --default NAME s3://...`"
        )
    return remote.url


def _name(readable: str, *key: str) -> str:
    """A name that nothing else in the account has."""
    return f"{readable}-{sha256_of_json(key)[:32]}"
