"""The standards that a model can be written down in. Costs nothing to import."""

from __future__ import annotations

from enum import StrEnum


class Standard(StrEnum):
    """What `lineage export --as` knows."""

    cyclonedx = "cyclonedx"
    spdx = "spdx"
    croissant = "croissant"
    prov = "prov"
    openlineage = "openlineage"
    ro_crate = "ro-crate"
    model_card = "model-card"
    annex_iv = "annex-iv"
