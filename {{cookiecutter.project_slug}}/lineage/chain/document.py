"""The chain of one model, from what lies on disk and in dvc.lock. MLflow is not asked: it only gets a copy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import LineageError
from ..base.readable_json import readable
from ..contract import Role
from ..dvc.dvcfile import differences, locked_hash, locked_params
from ..dvc.hashes import Content
from ..dvc.recorded import Recorded
from ..records.layout import Description, read_description
from ..settings import Settings, flatten
from ..tracking.registry import Registered
from .facts import NAMES, read_run_record, subjects_of
from .packages import LOCK

SCHEMA = 2


@dataclass(frozen=True)
class Chain:
    """Everything a model was made of, by hash."""

    project_id: str
    identity: str  # SHA-256 of the entry of the training in dvc.lock, as canonical JSON
    contents: dict[Role, tuple[str, Content]]  # path and content; consent snapshot and weights to start from if any
    environment: Content  # of the lock
    subjects: dict[str, Any]  # root and salt of the Merkle tree over the subjects of the dataset
    described: Description  # of the dataset version
    outputs: dict[str, Content]  # what else came out of the training, the scores, the predictions
    training_run: dict[str, Any]  # what `train` wrote down about itself
    parameters: dict[str, Any]  # of the training and the stages upstream, by dotted key
    metrics: dict[str, Any]

    def tags(self) -> dict[str, str]:
        """The tags of the model version."""
        tags = {
            "project_id": self.project_id,
            "model_identity": self.identity,
            "environment_md5": self.environment.md5,
            "training_run_id": self.training_run.get("run_id") or "unknown",
            "training_tracking_uri": self.training_run.get("tracking_uri") or "unknown",
            "lineage_status": "pending",
            "subjects_root": self.subjects["root"],
        }
        for role, (_, content) in self.contents.items():
            md5_name, sha256_name = NAMES[role]
            tags[md5_name] = content.md5
            if sha256_name:
                tags[sha256_name] = content.sha256
        if Role.PRETRAINED in self.contents:
            tags["pretrained_url"] = self.parameters["weights.url"]
        tags.update(self.training_run.get("started_from") or {})
        return tags

    def to_json(self, tracking_uri: str, version: Registered, artifact: Content) -> str:
        """The text of lineage.json. The same model in the same registry gives the same text.

        `artifact` is everything that the registry hands out for the version: weights, code, requirements.
        """
        registered = {
            "model_id": version.model_id,
            "sha256": artifact.sha256,
            "files": [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in artifact.files],
        }
        document = self.document(version.name, version.version, tracking_uri, registered)
        return readable(document)

    def document(
        self,
        name: str,
        version: str | None = None,
        tracking_uri: str | None = None,
        artifact: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What lineage.json holds; before it is registered, the model has no version and no registered files."""
        _, dataset = self.contents[Role.DATASET]
        record = dict(self.training_run)
        code = {"code": record.pop("code")} if "code" in record else {}
        return {  # who reviews it reads from the top: what has many lines, and is compared by `verify`, comes last
            "schema": SCHEMA,
            "project_id": self.project_id,
            "model": {
                "name": name,
                "version": version,
                "tracking_uri": tracking_uri,
                "identity": self.identity,
                **self._named(Role.MODEL),
            },
            "metrics": self.metrics,
            "parameters": self.parameters,
            "environment": {"path": LOCK, **self.environment.as_dict()},
            "consent": self._named(Role.CONSENT) if Role.CONSENT in self.contents else None,
            "pretrained": self._pretrained(),
            "training_run": {**record, "md5": self.contents[Role.RUN][1].md5, **code},
            "raw": {**self._named(Role.RAW), "files": _files(self.contents[Role.RAW][1])},
            "dataset": {
                **self._named(Role.DATASET),
                "classes": self.described.classes,
                "records": self.described.records,
                "subjects_by_split": self.described.subjects,
                "subjects": self.subjects,
                "files": _files(dataset),
            },
            "outputs": [{"path": path, **content.as_dict()} for path, content in self.outputs.items()],
            "artifact": artifact,
        }

    def _named(self, role: Role) -> dict[str, Any]:
        path, content = self.contents[role]
        return {"path": path, **content.as_dict()}

    def _pretrained(self) -> dict[str, Any] | None:
        """The weights that training started from, and where they came from."""
        if Role.PRETRAINED not in self.contents:
            return None
        named = self._named(Role.PRETRAINED)
        return {"path": named.pop("path"), "url": self.parameters["weights.url"], **named}


def build_chain(root: Path, settings: Settings, recorded: Recorded, content: Callable[[str], Content]) -> Chain:
    """The chain of the model in `root`. Raises LineageError if a file is not what dvc.lock records of it.

    `content` computes the hashes of what lies at a path of the project.
    """
    training, identity, scores = recorded.training, recorded.identity, recorded.pipeline.path(Role.SCORES)
    if training is None or scores is None:
        raise LineageError("dvc.yaml gives no stage the roles model and scores, so there is nothing to register.")
    if identity is None or recorded.trained is None:
        raise LineageError("dvc.lock records no training. Run `dvc repro`.")
    paths = {role: str(recorded.pipeline.path(role)) for role in NAMES if recorded.md5(role) is not None}
    for role in (Role.RAW, Role.DATASET, Role.MODEL, Role.RUN):
        if role not in paths and recorded.pipeline.path(role) is None:
            raise LineageError(
                f"dvc.yaml gives nothing the role {role}: name it under `meta` of the stage that makes or reads it."
            )
        if role not in paths:
            raise LineageError(f"dvc.lock does not say which {role} the model rests on. Run `dvc repro`.")

    def checked(path: str, md5: str | None) -> Content:
        found = content(path)
        if found.md5 != md5:
            raise LineageError(f"{path} is {found.md5}, but dvc.lock records {md5}. Run `dvc repro`.")
        return found

    contents = {role: (path, checked(path, recorded.md5(role))) for role, path in paths.items()}
    model_path, weights = contents[Role.MODEL]
    run_path, _ = contents[Role.RUN]
    if recorded.evaluated != weights.md5:  # else the scores would be another model's
        raise LineageError(f"{scores} is about another model than {model_path}. Run `dvc repro`.")
    record, again = read_run_record(root / run_path), f"Run `dvc repro --force {training.name}`."
    if wrong := differences(record["worked_with"], recorded.trained):
        raise LineageError(
            f"dvc.lock records another {', '.join(wrong[:3])} of {training.name} than {run_path} says that it worked "
            f"with. {again}"
        )
    if weights.sha256 != record["model_sha256"]:
        raise LineageError(f"{model_path} is not the model that the training run of {run_path} made. {again}")
    dataset_path, dataset = contents[Role.DATASET]
    judged = {role: path for role in (Role.SCORES, Role.PREDICTIONS) if (path := recorded.pipeline.path(role))}
    others = [out["path"] for out in recorded.trained["outs"] if out["path"] != model_path]
    return Chain(
        project_id=settings.project_id,
        identity=identity,
        contents=contents,
        environment=checked(LOCK, locked_hash(recorded.trained, "deps", LOCK)),
        subjects=subjects_of(root / dataset_path, dataset.md5),
        described=read_description(root / dataset_path),
        outputs={
            **{path: checked(path, locked_hash(recorded.trained, "outs", path)) for path in others},
            **{path: checked(path, recorded.made(role)) for role, path in judged.items()},
        },
        training_run=record,
        parameters=model_parameters(recorded),
        metrics=json.loads((root / scores).read_text(encoding="utf-8")),
    )


def model_parameters(recorded: Recorded) -> dict[str, Any]:
    """The parameters of the training and of the stages upstream, by dotted key, as dvc.lock records them."""
    stages = reversed(recorded.pipeline.of_model())
    return {key: value for stage in stages for key, value in locked_params(recorded.lock.get(stage.name)).items()}


def scores_by_name(metrics: dict[str, Any]) -> dict[str, float]:
    """The numbers of the scores under the names that MLflow knows them by: `test.accuracy` is `test_accuracy`."""
    named = ((key.replace(".", "_"), value) for key, value in flatten(metrics).items())
    return {key: value for key, value in named if isinstance(value, int | float) and not isinstance(value, bool)}


def _files(content: Content) -> list[dict[str, Any]]:
    return [{"path": file.path, "md5": file.md5, "sha256": file.sha256, "size": file.size} for file in content.files]
