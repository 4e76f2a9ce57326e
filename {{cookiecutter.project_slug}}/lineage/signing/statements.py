"""What is attested of a model: how it was made (SLSA provenance 1), and what `lineage verify` found (SVR 0.2).

https://slsa.dev/spec/v1.0/provenance, https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md

Both are about every file that the registry hands out, by SHA-256. No MD5 is in them, no id of a person,
and no name but that of the account in the repository's address.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from ..chain.leaving import settings_that_may_leave
from ..git.web import web_url

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
VERIFIED = "https://in-toto.io/attestation/svr/v0.2"
FILES = "https://model_signing/signature/v1.0"  # of OpenSSF model-signing
BUILD = "urn:lineage:build:dvc-repro:v1"
LISTED = "JSON list of the [path, SHA-256] of its files, sorted by path, without blanks"


def subjects(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The registered files, as lineage.json names them."""
    return [{"name": file["path"], "digest": {"sha256": file["sha256"]}} for file in document["artifact"]["files"]]


def provenance(document: dict[str, Any], commit: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """How the model of a lineage.json was made. The same lineage.json and result commit give the same statement.

    `settings` are those to state, where not all that may leave.
    """
    record = document["training_run"]
    repository = web_url((record.get("started_from") or {}).get("git_repo_url"))
    run = {"invocationId": record["run_id"]} if record.get("run_id") else {}
    return {
        "_type": STATEMENT,
        "subject": subjects(document),
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"settings": settings_that_may_leave(document) if settings is None else settings},
                "internalParameters": {"model_identity": document["model"]["identity"]},
                "resolvedDependencies": _materials(document, commit, repository),
            },
            "runDetails": {
                "builder": {"id": f"urn:lineage:project:{document['project_id']}"},
                "metadata": run,
                "byproducts": [_resource(out["path"], out) for out in document["outputs"]],
            },
        },
    }


def _materials(document: dict[str, Any], commit: str, repository: str | None) -> list[dict[str, Any]]:
    code = {"name": "code", "digest": {"gitCommit": commit}, **({"uri": f"git+{repository}"} if repository else {})}
    named = ("dataset", "raw", "environment", "consent", "pretrained")
    return [code, *(_resource(name, document[name]) for name in named if document.get(name))]


def _resource(name: str, stated: dict[str, Any]) -> dict[str, Any]:
    found = {"name": name, "digest": {"sha256": stated["sha256"]}}
    return {**found, "annotations": {"sha256_of": LISTED}} if str(stated["md5"]).endswith(".dir") else found


def verified(
    document: dict[str, Any], passed: list[str], moment: datetime, *, framework: str, sums: str
) -> dict[str, Any]:
    """That `lineage verify` passed these links. `framework`: its version; `sums`: SHA-256 of its SHA256SUMS."""
    return {
        "_type": STATEMENT,
        "subject": subjects(document),
        "predicateType": VERIFIED,
        "predicate": {
            "verifier": {
                "id": f"urn:lineage:verify:{framework}",
                "policies": [{"name": "lineage/SHA256SUMS", "digest": {"sha256": sums}}],
            },
            "timeCreated": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "properties": [property_of(name) for name in passed],
        },
    }


def property_of(link: str) -> str:
    """What a link is called among the properties of an SVR: `DVC remote` is LINEAGE_DVC_REMOTE."""
    return f"LINEAGE_{re.sub('[^A-Z0-9]+', '_', link.upper()).strip('_')}"
