"""The tag `endpoint` of a version in MLflow: which endpoints serve it."""

from __future__ import annotations

from collections.abc import Mapping

ENDPOINT = "endpoint"  # the tag: names of endpoints, separated by commas


def endpoints_in(tags: Mapping[str, str]) -> list[str]:
    """The endpoints that the tags of a version name."""
    return [name.strip() for name in (tags.get(ENDPOINT) or "").split(",") if name.strip()]
