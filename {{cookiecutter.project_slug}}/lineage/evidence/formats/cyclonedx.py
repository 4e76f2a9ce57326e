"""CycloneDX 1.7: a bill of materials of the model, with its card and its data. https://cyclonedx.org/docs/1.7/json/"""

from __future__ import annotations

import uuid
from typing import Any

from ..facts import FOLDER_HASH, Facts, Score, Thing

SPACE = uuid.UUID("4c1a3f6e-9d0b-5b0e-8a53-2f1f8b1d7c66")  # of the serial numbers made here


def cyclonedx(facts: Facts) -> dict[str, Any]:
    """The bill of materials. The same model has the same serial number, whoever exports it."""
    data, raw = _data(facts.dataset, "dataset", facts), _data(facts.raw, "raw data", facts)
    parts = [data, raw, *([_weights(facts.pretrained)] if facts.pretrained else [])]
    packages = [_package(name, version) for name, version in facts.packages.items()]
    model = _model(facts)
    refs = [part["bom-ref"] for part in (*parts, *packages)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid.uuid5(SPACE, f'{facts.identity}:{facts.commit}')}",
        "version": 1,
        "metadata": {
            "timestamp": facts.made.isoformat(),
            "lifecycles": [{"phase": "post-build"}],
            "component": model,
        },
        "components": [*parts, *packages],
        "dependencies": [
            {"ref": model["bom-ref"], "dependsOn": [ref for ref in refs if ref != raw["bom-ref"]]},
            {"ref": data["bom-ref"], "dependsOn": [raw["bom-ref"]]},
        ],
        "compositions": [{"aggregate": "incomplete" if packages else "unknown", "assemblies": [model["bom-ref"]]}],
    }


def _model(facts: Facts) -> dict[str, Any]:
    named = {"version": facts.version} if facts.version else {}
    where = [{"type": "vcs", "url": facts.repository, "comment": f"commit {facts.commit}"}] if facts.repository else []
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{facts.identity}",
        "name": facts.name,
        **named,
        "description": f"An image classifier, registered as {facts.uri}.",
        "hashes": _hashes(facts.model),
        "modelCard": _card(facts),
        **({"externalReferences": where} if where else {}),
        "properties": _properties(
            {
                "lineage:model_identity": facts.identity,
                "lineage:result_git_commit_id": facts.commit,
                "lineage:data_git_commit_id": facts.data_commit,
                "lineage:dvc_model_md5": facts.model.md5,
                "lineage:environment_sha256": facts.environment.sha256,
                "lineage:consent_sha256": facts.consent.sha256 if facts.consent else None,
                "lineage:artifact_sha256": facts.artifact_sha256,
                "lineage:verified": facts.proved.state if facts.proved else "not asked",
                **{f"lineage:setting:{key}": value for key, value in facts.settings.items()},
            }
        ),
    }


def _card(facts: Facts) -> dict[str, Any]:
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "image classification",
            "modelArchitecture": str(facts.settings.get("model.name", "unknown")),
            "datasets": [{"ref": f"dataset:{facts.dataset.sha256}"}],
            "inputs": [{"format": "image"}],
            "outputs": [{"format": f"probabilities of {facts.class_count} classes"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [*map(_metric, facts.scores), *_worst(facts)]},
        "considerations": {"technicalLimitations": list(facts.limits)},
    }


def _metric(score: Score) -> dict[str, Any]:
    bounds = {"lowerBound": score.low, "upperBound": score.high}
    known = {key: str(value) for key, value in bounds.items() if value is not None}
    return {
        "type": f"{score.group}.{score.name}",
        "value": str(score.value),
        **({"confidenceInterval": known} if len(known) == 2 else {}),
    }


def _worst(facts: Facts) -> list[dict[str, Any]]:
    worst = facts.worst_slice
    if worst is None:
        return []
    bounds = {"lowerBound": str(worst["low"]), "upperBound": str(worst["high"])}
    return [{"type": "accuracy", "value": str(worst["accuracy"]), "slice": worst["name"], "confidenceInterval": bounds}]


def _data(thing: Thing, what: str, facts: Facts) -> dict[str, Any]:
    counts: dict[str, int | None] = {f"lineage:records:{split}": count for split, count in facts.records.items()}
    counts |= {f"lineage:subjects:{split}": count for split, count in facts.subjects.items()}
    properties = {"lineage:md5": thing.md5, "lineage:size": thing.size, **(counts if what == "dataset" else {})}
    return {
        "type": "data",
        "bom-ref": f"dataset:{thing.sha256}",
        "name": thing.path,
        "version": thing.md5,
        "description": f"The {what} that the model was made from.{FOLDER_HASH if thing.is_folder else ''}",
        "hashes": _hashes(thing),
        "data": [{"type": "dataset", "name": thing.path, "contents": {"properties": _properties(properties)}}],
    }


def _weights(thing: Thing) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": f"weights:{thing.sha256}",
        "name": "weights that training started from",
        "hashes": _hashes(thing),
    }


def _package(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _hashes(thing: Thing) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": thing.sha256}]


def _properties(values: dict[str, Any]) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in values.items() if value is not None]
