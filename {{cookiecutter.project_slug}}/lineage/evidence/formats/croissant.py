"""Croissant 1.1 with its vocabulary for responsible AI (RAI): the dataset version. https://docs.mlcommons.org/croissant/"""

from __future__ import annotations

from typing import Any

from ..facts import FOLDER_HASH, Facts, Thing

NOT_RECORDED = "not recorded by this project"
SPLITS = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
OWN = (  # names that Croissant defines, and that stand in its namespace
    "arrayShape",
    "citeAs",
    "column",
    "containedIn",
    "equivalentProperty",
    "extract",
    "field",
    "fileProperty",
    "fileObject",
    "fileSet",
    "format",
    "includes",
    "isArray",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "sdVersion",
    "separator",
    "source",
    "subField",
    "transform",
)


def croissant(facts: Facts) -> dict[str, Any]:
    """The dataset version: its files by SHA-256, its records without the columns of ids, where it came from."""
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": f"{facts.name}-data",
        "description": (
            f"The dataset version {facts.dataset.md5} that {facts.title} was trained and tested on, SHA-256 "
            f"{facts.dataset.sha256}.{FOLDER_HASH} The columns of ids are in the files and not described here."
        ),
        "license": NOT_RECORDED,
        "url": facts.repository or facts.urn,
        "version": facts.dataset.md5,
        "datePublished": (facts.data_committed or facts.committed).date().isoformat(),
        "creator": {"@type": "sc:Organization", "name": NOT_RECORDED},
        "distribution": [*map(_shard, facts.shards), _shards()],
        "recordSet": [_splits(facts), *([_classes(facts)] if facts.classes else []), _records(facts)],
        "prov:wasDerivedFrom": {"@id": f"urn:sha256:{facts.raw.sha256}"},
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": f"the stage that makes {facts.dataset.path}, at commit {facts.data_commit or facts.commit}",
        },
        **_responsible(facts),
    }


def _responsible(facts: Facts) -> dict[str, Any]:
    """What RAI asks, as far as it is known: of the rest it says that nobody wrote it down."""
    fraction, source = facts.settings.get("data.fraction"), facts.settings.get("data.source.name", "unknown")
    steps = [
        facts.splitting,
        f"Records were sampled by a salted hash of their id: {fraction} of them." if fraction not in (None, 1) else "",
        f"Images: {_listed(facts, 'data.image.')}." if _listed(facts, "data.image.") else "",
        f"Equal images: {facts.settings.get('data.duplicates', 'unknown')}.",
    ]
    consent = (
        f"A consent registry was asked; its snapshot has the SHA-256 {facts.consent.sha256}."
        if facts.consent
        else "No consent registry was asked before these data were used."
    )
    subjects = ", ".join(f"{split}: {'unknown' if n is None else n}" for split, n in facts.subjects.items())
    return {
        "rai:dataCollection": f"Source: {source}. How it came about is {NOT_RECORDED}.",
        "rai:dataPreprocessingProtocol": [step for step in steps if step],
        "rai:dataLimitations": list(facts.limits[:1]),
        "rai:dataBiases": f"Which there are is {NOT_RECORDED}. Subjects by split: {subjects}.",
        "rai:personalSensitiveInformation": f"{consent} What the images show of a person is {NOT_RECORDED}.",
    }


def _listed(facts: Facts, beginning: str) -> str:
    found = {key.removeprefix(beginning): value for key, value in facts.settings.items() if key.startswith(beginning)}
    return ", ".join(f"{key} {value}" for key, value in found.items())


def _shard(shard: Thing) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard.path,
        "name": shard.path,
        "contentUrl": shard.path,
        "contentSize": f"{shard.size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": shard.sha256,
    }


def _shards() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "encodingFormat": "application/x-parquet",
        "includes": "shards/*.parquet",
    }


def _splits(facts: Facts) -> dict[str, Any]:
    counts = ", ".join(f"{split}: {count}" for split, count in facts.records.items())
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": f"Records by split: {counts}.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": split, "splits/url": SPLITS.get(split, f"cr:{split}")} for split in facts.records],
    }


def _classes(facts: Facts) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/name"},
        "field": [{"@type": "cr:Field", "@id": "classes/name", "name": "name", "dataType": "sc:Text"}],
        "data": [{"classes/name": name} for name in facts.classes or ()],
    }


def _records(facts: Facts) -> dict[str, Any]:
    label = {"references": {"field": {"@id": "classes/name"}}} if facts.classes else {}
    return {
        "@type": "cr:RecordSet",
        "@id": "records",
        "name": "records",
        "description": "One row a record.",
        "field": [
            _field("split", "sc:Text", references={"field": {"@id": "splits/name"}}),
            _field("label", ["sc:Text", "cr:Label"], **label),
            _field("content_sha256", "sc:Text"),
            _field("image", "sc:ImageObject"),
        ],
    }


def _field(name: str, kind: str | list[str], **more: Any) -> dict[str, Any]:
    source = {"fileSet": {"@id": "shards"}, "extract": {"column": name}}
    return {"@type": "cr:Field", "@id": f"records/{name}", "name": name, "dataType": kind, "source": source, **more}


def _context() -> dict[str, Any]:
    """That of the specification, and the provenance vocabulary of W3C."""
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "sc": "https://schema.org/",
        "prov": "http://www.w3.org/ns/prov#",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        **{name: f"cr:{name}" for name in OWN},
    }
