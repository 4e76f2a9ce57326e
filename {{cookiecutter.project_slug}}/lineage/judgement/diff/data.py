"""Data: which records were added, removed, relabelled, moved between splits, or have other bytes, and why."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import LineageError, ProjectError
from ...contract import Role
from ...records.layout import MANIFEST
from .causes import causes
from .manifests import COLUMNS, Compared, compare, read_manifest, summary
from .section import counted, section
from .sides import Side

if TYPE_CHECKING:
    import pyarrow as pa


def data(a: Side, b: Side) -> tuple[dict[str, Any], Compared | None]:
    """The section, and the records that differ; None where they are unknown, or there are none."""
    datasets = [side.recorded.read(Role.DATASET) for side in (a, b)]
    raw = [side.recorded.md5(Role.RAW) for side in (a, b)]
    unknown = [
        f"{side.title}: dvc.lock records no {what}."
        for what, found in (("dataset version", datasets), ("raw data", raw))
        for side, md5 in zip((a, b), found, strict=True)
        if md5 is None
    ]
    hashes: dict[str, Any] = {"dataset": datasets, "raw": raw}
    if datasets[0] == datasets[1] or None in datasets:
        same = "both are the same dataset version" if datasets[0] else "nothing"
        return section(compared=same, unknown=unknown, differs=raw[0] != raw[1], hashes=hashes), None
    try:
        compared = compare(*(_manifest(side, str(md5), unknown) for side, md5 in zip((a, b), datasets, strict=True)))
    except (ProjectError, ValueError) as error:  # such as a manifest that names a record twice
        unknown.append(f"the records: {error}")
        return section(compared="the hashes alone", unknown=unknown, differs=True, hashes=hashes), None
    why = causes(a, b, compared.kinds["removed"], compared.kinds["added"], unknown)
    further = [name for name in compared.kinds["added"].column_names if name not in COLUMNS]
    found = section(
        compared=f"{compared.before:,} and {counted(compared.after, 'record')}",
        unknown=unknown,
        differs=True,  # another hash, if only of the description
        hashes=hashes,
        records=[compared.before, compared.after],
        kinds={kind: summary(kind, table, further) for kind, table in compared.kinds.items() if len(table)},
        columns={"changed": compared.columns, "removed": compared.only_before, "added": compared.only_after},
        causes=why,
    )
    return found, compared


def _manifest(side: Side, dataset: str, unknown: list[str]) -> pa.Table:
    """The manifest of a side; of a dataset version from which somebody was erased, what is left of it.

    Raises LineageError if neither cache nor remote has the right bytes.
    """
    import pyarrow as pa

    evidence = side.evidence
    erased = evidence.erasures.of_dataset(dataset)
    if erased is not None:
        unknown.append(
            f"{side.title}: {counted(len(erased.keys), 'subject')} of its dataset version were erased since: what they "
            "had in it is not known any more, and not compared."
        )
    listing = {} if erased else evidence.objects.listing(dataset)
    if not erased and MANIFEST not in listing:
        raise LineageError(f"dataset {dataset} has no {MANIFEST}")
    with tempfile.TemporaryDirectory() as scratch:
        file = evidence.objects.verified(erased.redacted if erased else listing[MANIFEST], Path(scratch))
        try:
            return read_manifest(file)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise LineageError(f"the manifest of dataset {dataset} cannot be read: {error}") from error
