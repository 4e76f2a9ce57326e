"""RO-Crate 1.1 with the profile Process Run Crate 0.5: a folder that describes itself, with the other exports in it.

https://www.researchobject.org/ro-crate/specification/1.1/, https://www.researchobject.org/workflow-run-crate/
"""

from __future__ import annotations

from typing import Any

from ..facts import FOLDER_HASH, Facts, Thing

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROCESS = "https://w3id.org/ro/wfrun/process/0.5"
NOT_RECORDED = "not recorded by this project"
METADATA = "ro-crate-metadata.json"
LICENSE, AUTHOR = "#license", "#author"


def ro_crate(facts: Facts, files: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """The metadata of a crate. `files`: what each file that lies in it is called, and its media type."""
    parts = [_file(path, name, kind) for path, (name, kind) in files.items()]
    things = {"model": facts.model, "dataset": facts.dataset, "raw": facts.raw, "environment": facts.environment}
    things |= {"pretrained": facts.pretrained} if facts.pretrained else {}
    described = [_thing(name, thing) for name, thing in things.items()]
    read = [f"#{name}" for name in things if name not in ("model", "raw")]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{facts.title} and where it comes from",
        "description": f"The lineage of {facts.uri}: commit {facts.commit}, dataset version {facts.dataset.md5}.",
        "datePublished": facts.made.date().isoformat(),
        "license": {"@id": LICENSE},
        "author": {"@id": AUTHOR},
        "conformsTo": [{"@id": PROCESS}],
        "hasPart": [{"@id": part["@id"]} for part in parts],
        "mentions": [{"@id": "#training"}],
    }
    return {
        "@context": [CONTEXT, {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}],
        "@graph": [
            {
                "@id": METADATA,
                "@type": "CreativeWork",
                "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
                "about": {"@id": "./"},
            },
            root,
            *parts,
            {"@id": PROCESS, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
            {"@id": LICENSE, "@type": "CreativeWork", "name": "License", "description": NOT_RECORDED},
            {"@id": AUTHOR, "@type": "Organization", "name": NOT_RECORDED},
            _software(facts),
            _action(facts, read),
            *described,
        ],
    }


def _file(path: str, name: str, kind: str) -> dict[str, Any]:
    return {"@id": path, "@type": "File", "name": name, "encodingFormat": kind}


def _thing(name: str, thing: Thing) -> dict[str, Any]:
    """What does not lie in the crate: whoever has the DVC remote finds it by its hash."""
    return {
        "@id": f"#{name}",
        "@type": "CreativeWork",
        "name": thing.path,
        "identifier": f"urn:sha256:{thing.sha256}",
        "description": f"SHA-256 {thing.sha256}, {thing.size} bytes, {thing.md5} in DVC."
        + (FOLDER_HASH if thing.is_folder else ""),
        "sha256": thing.sha256,
    }


def _software(facts: Facts) -> dict[str, Any]:
    where = {"url": facts.repository} if facts.repository else {}
    return {
        "@id": "#code",
        "@type": "SoftwareApplication",
        "name": f"the pipeline of {facts.name}",
        "softwareVersion": facts.commit,
        **where,
    }


def _action(facts: Facts, read: list[str]) -> dict[str, Any]:
    times = {"startTime": facts.started, "endTime": facts.ended}
    return {
        "@id": "#training",
        "@type": "CreateAction",
        "name": f"Training of {facts.title}",
        "description": f"Settings: {', '.join(f'{key}={value}' for key, value in facts.settings.items())}",
        "instrument": {"@id": "#code"},
        "object": [{"@id": name} for name in read],
        "result": [{"@id": "#model"}],
        "agent": {"@id": AUTHOR},
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        **{key: moment.isoformat() for key, moment in times.items() if moment},
    }
