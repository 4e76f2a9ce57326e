"""Records of one dataset version that have the same image, as it is stored: what a model sees twice.

It is the stored image that is compared, decoded and brought to size, so that a copy in another file format is found,
and so are two files that differ in nothing that a model could see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..settings.data import Split
from .selection import SplitName, split_of, unit_hash

SHOWN = 3


@dataclass(frozen=True)
class Duplicates:
    """The records that share an image, by image: dicts of a manifest's columns."""

    groups: list[list[dict[str, Any]]]

    @property
    def across_splits(self) -> list[list[dict[str, Any]]]:
        """Those in more than one split: what is tested was trained on."""
        return [group for group in self.groups if len({record["split"] for record in group}) > 1]

    @property
    def across_labels(self) -> list[list[dict[str, Any]]]:
        """Those with more than one label, of which all but one are wrong."""
        return [group for group in self.groups if len({record["label"] for record in group}) > 1]

    @property
    def counts(self) -> dict[str, float]:
        """How many records have the image of another, and how many images are in two splits or have two labels."""
        return {
            "duplicate_records": sum(map(len, self.groups)) - len(self.groups),
            "duplicates_across_splits": len(self.across_splits),
            "duplicates_across_labels": len(self.across_labels),
        }

    def __str__(self) -> str:
        # the worst first
        kinds = {"in two splits": self.across_splits, "under two labels": self.across_labels}
        worst = [group for groups in kinds.values() for group in groups]
        named = [group for number, group in enumerate([*worst, *self.groups]) if group not in worst[:number]][:SHOWN]
        records = sum(map(len, self.groups))
        said = f"{records} records share {len(self.groups)} image{'s' * (len(self.groups) > 1)} with another record"
        said += "".join(f"; {len(groups)} {what}" for what, groups in kinds.items() if groups)
        more = f" and {len(self.groups) - SHOWN} more" if len(self.groups) > SHOWN else ""
        return f"{said}: {'; '.join(map(_named, named))}{more}"


def find_duplicates(manifest: pa.Table) -> Duplicates:
    """The records of a manifest that have one image, in the order of the manifest."""
    hashes = manifest["content_sha256"].combine_chunks()
    counted = hashes.value_counts()
    several = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in manifest.filter(pc.is_in(manifest["content_sha256"], several)).to_pylist():
        groups.setdefault(record["content_sha256"], []).append(record)
    return Duplicates(list(groups.values()))


def splits_together(groups: Iterable[list[dict[str, Any]]], split: Split) -> dict[str, SplitName]:
    """A split for each subject that shares an image with another, so that all who share one come into the same.

    It is that of the one among them, and among those whom they share images with in turn, whose hash is smallest: train
    if one of them is in train, else val if one is there. So no image leaves train, and who shares none stays.
    """
    first: dict[str, str] = {}  # a subject leads to another of its company

    def leader(subject: str) -> str:
        while first.setdefault(subject, subject) != subject:
            first[subject] = first[first[subject]]
            subject = first[subject]
        return subject

    for group in groups:
        leaders = {leader(record["subject_id"]) for record in group}
        smallest = min(leaders, key=lambda subject: (unit_hash(split.salt, subject), subject))
        first.update(dict.fromkeys(leaders, smallest))
    return {subject: split_of(leader(subject), split.train, split.val, split.salt) for subject in list(first)}


def _named(group: list[dict[str, Any]]) -> str:
    more = f" and {len(group) - 2} more" if len(group) > 2 else ""
    shown = [f"{record['record_id']!r} ({record['label']}, {record['split']})" for record in group[:2]]
    return f"{' = '.join(shown)}{more}"
