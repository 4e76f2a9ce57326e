"""SPDX 3.0.1 with its profiles AI, Dataset and Build, as JSON-LD. https://spdx.github.io/spdx-spec/v3.0.1/"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..facts import FOLDER_HASH, Facts, Thing

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
# SPDX wants an address and an agent of everything: these say that nothing is claimed
NOWHERE = "https://spdx.org/rdf/3.0.1/terms/Core/NoAssertionElement"
NOT_RECORDED = "not recorded by this project"
CREATION = "_:creation"


def spdx(facts: Facts) -> dict[str, Any]:
    """The document: the model, its data, the weights it started from, its packages, and how they belong together."""
    base = f"urn:spdx.dev:lineage-{facts.identity}"
    agent, tool = f"{base}-nobody", f"{base}-tool"
    model, data, raw = _model(facts, base, agent), _dataset(facts, base, agent), _raw(facts, base, agent)
    build = _build(facts, base)
    start = [_weights(facts, base)] if facts.pretrained else []
    packages = [_package(base, name, version) for name, version in facts.packages.items()]
    relations = [
        _relation(base, "trained-on", model, "trainedOn", [data]),
        _relation(base, "tested-on", model, "testedOn", [data]),
        _relation(base, "rests-on", data, "descendantOf", [raw]),
        _relation(base, "reads", build, "hasInput", [data, *start]),
        _relation(base, "makes", build, "hasOutput", [model]),
        *([_relation(base, "started-from", model, "descendantOf", start)] if start else []),
        *([_relation(base, "needs", model, "dependsOn", packages)] if packages else []),
    ]
    elements = [model, data, raw, *start, build, *packages, *relations]
    bom = {
        **_element("software_Sbom", f"{base}-bom", f"Bill of materials of {facts.title}"),
        "software_sbomType": ["build"],
        "rootElement": [model["spdxId"]],
        "element": [element["spdxId"] for element in elements],
    }
    document = {
        **_element("SpdxDocument", f"{base}-document", facts.title),
        "profileConformance": ["core", "software", "ai", "dataset", "build"],
        "rootElement": [bom["spdxId"]],
        "element": [element["spdxId"] for element in (bom, *elements)] + [agent, tool],
    }
    return {
        "@context": CONTEXT,
        "@graph": [
            {
                "type": "CreationInfo",
                "@id": CREATION,
                "specVersion": "3.0.1",
                "created": _moment(facts.made),
                "createdBy": [agent],
                "createdUsing": [tool],
            },
            _element("Organization", agent, NOT_RECORDED),
            _element("Tool", tool, f"lineage {facts.framework or ''}".strip()),
            document,
            bom,
            *elements,
        ],
    }


def _model(facts: Facts, base: str, agent: str) -> dict[str, Any]:
    settings = {key: value for key, value in facts.settings.items() if value is not None}
    return {
        **_element("ai_AIPackage", f"{base}-model", facts.name),
        **_published(facts.committed, agent),
        "software_packageVersion": facts.version or "unknown",
        "software_primaryPurpose": "model",
        "software_downloadLocation": facts.repository or NOWHERE,
        "verifiedUsing": [_hash(facts.model)],
        "externalIdentifier": [_other(facts.urn)],
        "suppliedBy": agent,
        "ai_typeOfModel": [str(facts.settings.get("model.name", "unknown"))],
        "ai_domain": ["image classification"],
        "ai_hyperparameter": [_entry(key, value) for key, value in settings.items()],
        "ai_metric": [_entry(f"{score.group}.{score.name}", score.value) for score in facts.scores],
        "ai_limitation": " ".join(facts.limits),
        "ai_informationAboutTraining": (
            f"Made by the result commit {facts.commit} from the dataset version {facts.dataset.md5}; model identity "
            f"{facts.identity}. `lineage verify {facts.uri}` in a clone proves it."
        ),
        "ai_useSensitivePersonalInformation": "noAssertion",
    }


def _dataset(facts: Facts, base: str, agent: str) -> dict[str, Any]:
    splits = ", ".join(f"{split}: {count}" for split, count in facts.records.items())
    what = "The dataset version that the model was trained and tested on."
    more = {"dataset_dataPreprocessing": [f"Records by split: {splits}. {facts.splitting}"]}
    return _data(facts, facts.dataset, f"{base}-dataset", agent, what, more)


def _raw(facts: Facts, base: str, agent: str) -> dict[str, Any]:
    return _data(facts, facts.raw, f"{base}-raw", agent, "The raw records that the dataset version was made from.", {})


def _data(facts: Facts, thing: Thing, identity: str, agent: str, what: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        **_element("dataset_DatasetPackage", identity, thing.path),
        **_published(facts.data_committed or facts.committed, agent),
        "description": f"{what}{FOLDER_HASH}",
        "software_packageVersion": thing.md5,
        "software_primaryPurpose": "data",
        "software_downloadLocation": NOWHERE,
        "verifiedUsing": [_hash(thing)],
        "dataset_datasetType": ["image"],
        "dataset_datasetSize": thing.size,
        **more,
        "dataset_hasSensitivePersonalInformation": "noAssertion",
    }


def _weights(facts: Facts, base: str) -> dict[str, Any]:
    assert facts.pretrained is not None
    return {
        **_element("software_Package", f"{base}-weights", "weights that training started from"),
        "software_primaryPurpose": "model",
        "verifiedUsing": [_hash(facts.pretrained)],
    }


def _build(facts: Facts, base: str) -> dict[str, Any]:
    times = {"build_buildStartTime": facts.started, "build_buildEndTime": facts.ended}
    return {
        **_element("build_Build", f"{base}-build", f"training of {facts.title}"),
        "build_buildType": "urn:lineage:dvc-repro",
        **({"build_buildId": facts.run_id} if facts.run_id else {}),
        **({"build_configSourceUri": [facts.repository]} if facts.repository else {}),
        "build_configSourceDigest": [{"type": "Hash", "algorithm": "sha1", "hashValue": facts.commit}],
        "build_environment": [_entry(key, value) for key, value in facts.machine.items()],
        **{key: _moment(moment) for key, moment in times.items() if moment},
    }


def _package(base: str, name: str, version: str) -> dict[str, Any]:
    return {
        **_element("software_Package", f"{base}-pypi-{name}", name),
        "software_packageVersion": version,
        "software_packageUrl": f"pkg:pypi/{name}@{version}",
    }


def _relation(base: str, name: str, start: dict[str, Any], kind: str, ends: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "Relationship",
        "spdxId": f"{base}-{name}",
        "creationInfo": CREATION,
        "from": start["spdxId"],
        "relationshipType": kind,
        "to": [end["spdxId"] for end in ends],
    }


def _element(kind: str, name: str, shown: str) -> dict[str, Any]:
    return {"type": kind, "spdxId": name, "creationInfo": CREATION, "name": shown}


def _published(when: datetime, agent: str) -> dict[str, Any]:
    """SPDX wants when it was made and given away: Git knows when it was committed."""
    return {"builtTime": _moment(when), "releaseTime": _moment(when), "originatedBy": [agent]}


def _hash(thing: Thing) -> dict[str, Any]:
    return {"type": "Hash", "algorithm": "sha256", "hashValue": thing.sha256}


def _entry(key: str, value: Any) -> dict[str, Any]:
    return {"type": "DictionaryEntry", "key": key, "value": str(value)}


def _other(urn: str) -> dict[str, Any]:
    return {"type": "ExternalIdentifier", "externalIdentifierType": "other", "identifier": urn}


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
