"""Tags by which everything that this project makes in AWS is found again: in bills, in policies and by cleanup."""

from __future__ import annotations

import re
from collections.abc import Mapping

PROJECT_TAG = "lineage:project_id"  # its value is the project_id of conf/project.yaml
PROJECT_METADATA = "lineage-project-id"  # the same, of an object in S3 that this project's code has put there
MOST_OF_VALUE = 256  # characters


def own_tags(project_id: str, more: Mapping[str, str]) -> dict[str, str]:
    """The tags of a resource of the project: `more`, which the settings ask for, and whose it is.

    Everything that is made in AWS for the project carries them, whoever makes it: what has no such tag is taken for
    somebody else's.
    """
    return {**more, PROJECT_TAG: project_id}


def tag_value(text: str) -> str:
    """Text as the value of a tag in AWS, which knows letters, digits, blanks and a few signs."""
    return re.sub(r"[^\w .:/=+\-@]", "-", " ".join(text.split()))[:MOST_OF_VALUE]


def as_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as AWS takes them."""
    return [{"Key": key, "Value": tag_value(value)} for key, value in tags.items()]
