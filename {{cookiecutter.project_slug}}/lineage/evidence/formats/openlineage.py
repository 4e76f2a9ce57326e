"""OpenLineage 2-0-2: a START and a COMPLETE event of the training run, for a file. https://openlineage.io/spec/"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from ...base.errors import LineageError
from ..facts import Facts, Thing

SPEC = "https://openlineage.io/spec"
EVENT = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = f"{SPEC}/facets"


def openlineage(facts: Facts) -> list[dict[str, Any]]:
    """The events, in their order. Raises LineageError where it is unknown when the run began or ended."""
    if facts.started is None or facts.ended is None or facts.run_id is None:
        raise LineageError(
            f"it is unknown when the training run of {facts.uri} began and ended: MLflow does not have it, and an "
            "event without a time is none."
        )
    return [_event(facts, "START", facts.started, made=False), _event(facts, "COMPLETE", facts.ended, made=True)]


def _event(facts: Facts, kind: str, when: datetime, *, made: bool) -> dict[str, Any]:
    assert facts.run_id is not None
    read = [facts.dataset, facts.environment, *([facts.pretrained] if facts.pretrained else [])]
    return {
        "eventType": kind,
        "eventTime": when.isoformat(),
        "producer": _producer(facts),
        "schemaURL": EVENT,
        "run": {"runId": str(uuid.UUID(facts.run_id)), "facets": _of_run(facts)},
        "job": {"namespace": _namespace(facts), "name": facts.stage or "train", "facets": _of_job(facts)},
        "inputs": [_dataset(facts, thing) for thing in read],
        "outputs": [_output(facts, thing) for thing in (facts.model, *facts.outputs)] if made else [],
    }


def _of_run(facts: Facts) -> dict[str, Any]:
    version = str(facts.machine.get("torch") or facts.machine.get("python") or "unknown")
    name = "torch" if facts.machine.get("torch") else "python"
    return {"processing_engine": _facet(facts, "1-1-1/ProcessingEngineRunFacet", name=name, version=version)}


def _of_job(facts: Facts) -> dict[str, Any]:
    facets = {
        "jobType": _facet(
            facts, "2-0-4/JobTypeJobFacet", processingType="BATCH", integration="DVC", jobType="TRAINING"
        ),
        "documentation": _facet(
            facts,
            "1-1-0/DocumentationJobFacet",
            description=f"The training of {facts.title}, model identity {facts.identity}.",
        ),
    }
    if facts.repository:
        facets["sourceCodeLocation"] = _facet(
            facts,
            "1-1-0/SourceCodeLocationJobFacet",
            type="git",
            url=f"{facts.repository}/commit/{facts.commit}",
            repoUrl=facts.repository,
            version=facts.commit,
        )
    return facets


def _dataset(facts: Facts, thing: Thing) -> dict[str, Any]:
    facets = {
        "version": _facet(facts, "1-0-1/DatasetVersionDatasetFacet", datasetVersion=thing.md5),
        "storage": _facet(facts, "1-0-1/StorageDatasetFacet", storageLayer="dvc"),
    }
    return {"namespace": f"dvc://{facts.project_id}", "name": thing.path, "facets": facets}


def _output(facts: Facts, thing: Thing) -> dict[str, Any]:
    size = _facet(facts, "1-0-2/OutputStatisticsOutputDatasetFacet", size=thing.size)
    return {**_dataset(facts, thing), "outputFacets": {"outputStatistics": size}}


def _facet(facts: Facts, schema: str, **values: Any) -> dict[str, Any]:
    name = schema.rpartition("/")[2]
    return {"_producer": _producer(facts), "_schemaURL": f"{FACETS}/{schema}.json#/$defs/{name}", **values}


def _producer(facts: Facts) -> str:
    return f"urn:lineage:framework:{facts.framework or 'unknown'}"


def _namespace(facts: Facts) -> str:
    return f"lineage:{facts.project_id}"
