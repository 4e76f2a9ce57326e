"""The chain of one model, from what lies on disk and in dvc.lock. MLflow is not asked: it only gets a copy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LineageError
from ..pipeline.dvcfile import Lock, Pipeline, locked_hash, locked_params
from ..pipeline.given import differences
from ..settings import Settings
from ..settings.model import PRETRAINED
from .facts import CONSENT, DATASET, MODEL, NAMES, RAW, RUN_RECORD, read_run_record, subjects_of
from .hashes import Content, hash_path, sha256_of_json
from .packages import LOCK

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SCHEMA = 2
SCORES = "metrics/test.json"


@dataclass(frozen=True)
class Chain:
    """Everything a model was made of, by hash."""

    project_id: str
    identity: str  # SHA-256 of the entry of `train` in dvc.lock, as canonical JSON
    contents: dict[
        str, Content
    ]  # model, dataset, raw data, environment lock; consent snapshot and weights to start from if any
    subjects: dict[str, Any]  # root and salt of the Merkle tree over the subjects of the dataset
    outputs: dict[str, Content]  # what else came out of train, and the scores
    training_run: dict[str, Any]  # what `train` wrote down about itself
    parameters: dict[str, Any]  # of train and the stages upstream, by dotted key
    metrics: dict[str, Any]

    def tags(self) -> dict[str, str]:
        """The tags of the model version."""
        tags = {
            "project_id": self.project_id,
            "model_identity": self.identity,
            "environment_md5": self.contents[LOCK].md5,
            "training_run_id": self.training_run.get("run_id") or "unknown",
            "training_tracking_uri": self.training_run.get("tracking_uri") or "unknown",
            "lineage_status": "pending",
            "subjects_root": self.subjects["root"],
        }
        for path, (md5_name, sha256_name) in NAMES.items():
            if path in self.contents:
                tags[md5_name] = self.contents[path].md5
                if sha256_name:
                    tags[sha256_name] = self.contents[path].sha256
        if PRETRAINED in self.contents:
            tags["pretrained_url"] = self.parameters["weights.url"]
        tags.update(self.training_run.get("started_from") or {})
        return tags

    def to_json(self, tracking_uri: str, version: ModelVersion, artifact: Content) -> str:
        """The text of lineage.json. The same model in the same registry gives the same text.

        `artifact` is everything that the registry hands out for the version: weights, code, requirements.
        """
        model, dataset = self.contents[MODEL], self.contents[DATASET]
        document = {
            "schema": SCHEMA,
            "project_id": self.project_id,
            "model": {
                "name": version.name,
                "version": str(version.version),
                "tracking_uri": tracking_uri,
                "identity": self.identity,
                "path": MODEL,
                **model.as_dict(),
            },
            "artifact": {
                "model_id": version.source.removeprefix("models:/"),
                "sha256": artifact.sha256,
                "files": [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in artifact.files],
            },
            "training_run": {**self.training_run, "md5": self.contents[RUN_RECORD].md5},
            "outputs": [{"path": path, **content.as_dict()} for path, content in self.outputs.items()],
            "dataset": {"path": DATASET, **dataset.as_dict(), "subjects": self.subjects, "files": _files(dataset)},
            "consent": {"path": CONSENT, **self.contents[CONSENT].as_dict()} if CONSENT in self.contents else None,
            "pretrained": self._pretrained(),
            "raw": {"path": RAW, **self.contents[RAW].as_dict(), "files": _files(self.contents[RAW])},
            "environment": {"path": LOCK, **self.contents[LOCK].as_dict()},
            "parameters": self.parameters,
            "metrics": self.metrics,
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def _pretrained(self) -> dict[str, Any] | None:
        """The weights that training started from, and where they came from."""
        if PRETRAINED not in self.contents:
            return None
        return {"path": PRETRAINED, "url": self.parameters["weights.url"], **self.contents[PRETRAINED].as_dict()}


def build_chain(root: Path, settings: Settings, pipeline: Pipeline, lock: Lock) -> Chain:
    """The chain of the model in `root`. Raises LineageError if a file is not what dvc.lock records of it."""
    _recorded(root, lock, "evaluate", "deps", MODEL)  # else the scores would be another model's
    has_consent = locked_hash(lock["preprocess"], "deps", CONSENT) is not None
    is_pretrained = locked_hash(lock["train"], "deps", PRETRAINED) is not None
    dataset = _recorded(root, lock, "train", "deps", DATASET)
    record = read_run_record(root)
    if wrong := differences(record["worked_with"], lock["train"]):
        raise LineageError(
            f"dvc.lock records another {', '.join(wrong[:3])} of train than {RUN_RECORD} says that it worked with. "
            "Run `dvc repro --force train`."
        )
    weights = _recorded(root, lock, "train", "outs", MODEL)
    if weights.sha256 != record["model_sha256"]:
        raise LineageError(
            f"{MODEL} is not the model that the training run of {RUN_RECORD} made. Run `dvc repro --force train`."
        )
    made = [out["path"] for out in lock["train"]["outs"] if out["path"] != MODEL]
    return Chain(
        project_id=settings.project_id,
        identity=model_identity(lock),
        contents={
            MODEL: weights,
            RUN_RECORD: _recorded(root, lock, "train", "outs", RUN_RECORD),
            DATASET: dataset,
            RAW: _recorded(root, lock, "preprocess", "deps", RAW),
            LOCK: _recorded(root, lock, "train", "deps", LOCK),
            **({CONSENT: _recorded(root, lock, "preprocess", "deps", CONSENT)} if has_consent else {}),
            **({PRETRAINED: _recorded(root, lock, "train", "deps", PRETRAINED)} if is_pretrained else {}),
        },
        subjects=subjects_of(root / DATASET, dataset.md5),
        outputs={
            **{path: _recorded(root, lock, "train", "outs", path) for path in made},
            SCORES: _recorded(root, lock, "evaluate", "outs", SCORES),
        },
        training_run=record,
        parameters=model_parameters(pipeline, lock),
        metrics=json.loads((root / SCORES).read_text(encoding="utf-8")),
    )


def model_parameters(pipeline: Pipeline, lock: Lock) -> dict[str, Any]:
    """The parameters of train and of the stages upstream, by dotted key, as dvc.lock records them."""
    train = pipeline.stage("train")
    stages = [*reversed(pipeline.upstream(train)), train]
    return {key: value for stage in stages for key, value in locked_params(lock.get(stage.name)).items()}


def model_identity(lock: Lock) -> str:
    """SHA-256 of the whole entry of `train` in dvc.lock: command, dependencies, parameters, outputs.

    Two models with equal weights and different data have different ones.
    """
    if "train" not in lock:
        raise LineageError("dvc.lock records no training. Run `dvc repro`.")
    return sha256_of_json(lock["train"])


def _recorded(root: Path, lock: Lock, stage: str, kind: str, path: str) -> Content:
    content = hash_path(root / path)
    recorded = locked_hash(lock.get(stage), kind, path)
    if recorded != content.md5:
        raise LineageError(
            f"{path} is {content.md5}, but the entry of {stage} in dvc.lock records {recorded}. Run `dvc repro`."
        )
    return content


def _files(content: Content) -> list[dict[str, Any]]:
    return [{"path": file.path, "md5": file.md5, "sha256": file.sha256, "size": file.size} for file in content.files]
