"""Which settings may leave the project, in an export or an attestation: a list of what is allowed."""

from __future__ import annotations

from typing import Any

from ..settings import flatten

# by the beginning of their names; of these, none that ends as one of WITHHELD does
SETTINGS = (
    "model.",
    "train.",
    "evaluate.",
    "data.source.name",
    "data.fraction",
    "data.image.",
    "data.split.",
    "data.shards.subjects",
    "data.on_bad_record",
    "data.alike_classes",
    "data.duplicates",
    "data.near_duplicates",
    "privacy.name",
)
WITHHELD = ("salt", "url", "uri", "path", "file", "folder", "token", "password", "query")


def settings_that_may_leave(document: dict[str, Any]) -> dict[str, Any]:
    """Those of a lineage.json, by dotted key."""
    return {key: value for key, value in flatten(document["parameters"]).items() if _may_leave(key)}


def _may_leave(key: str) -> bool:
    known = any(key == kept or (kept.endswith(".") and key.startswith(kept)) for kept in SETTINGS)
    return known and not key.rpartition(".")[2].endswith(WITHHELD)
