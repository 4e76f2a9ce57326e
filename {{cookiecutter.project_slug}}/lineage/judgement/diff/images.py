"""Images of single records, from the shards that hold them: as files, and as thumbnails for a page."""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...base.errors import LineageError
from ...contract import Role
from ...dvc.objects import Objects
from ...proof.restore import whole
from ...proof.rows import batches
from ...records.layout import SHARDS
from .difference import Difference
from .manifests import CONTENT, ID, LABEL, SPLIT, SUBJECT
from .scores import flipped

COLUMNS = [ID, CONTENT, "image"]
EDGE = 64  # pixels of a thumbnail
AS_PNG = 32  # pixels up to which it keeps its exact values


@dataclass
class Exported:
    """What was written. `lacking` says of which records no image could be had."""

    target: Path
    images: int = 0
    lacking: list[str] = field(default_factory=list)


def images_of(objects: Objects, dataset: str, wanted: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """The images of some records of a dataset version, as they come: id and PNG bytes. `wanted`: subject by record id.

    Of a record that it does not have, nothing comes. Raises LineageError as `Objects.verified` does, and if an image
    is not the one that its row promises.
    """
    left, subjects = set(wanted), set(wanted.values())
    with tempfile.TemporaryDirectory() as scratch:
        for name in _shards(objects, dataset):
            if not left or not _may_hold(objects, name, subjects):
                continue
            file = objects.verified(name, Path(scratch))
            for batch in batches(file, COLUMNS):
                ids = batch[ID].to_pylist()
                for row in (row for row, record_id in enumerate(ids) if record_id in left):
                    image = batch["image"][row].as_py()
                    if hashlib.sha256(image).hexdigest() != batch[CONTENT][row].as_py():
                        raise LineageError(
                            f"the image of {ids[row]} in dataset {dataset} has another hash than its row."
                        )
                    left.discard(ids[row])
                    yield ids[row], image
            if file.parent == Path(scratch):
                file.unlink()


def _shards(objects: Objects, dataset: str) -> list[str]:
    return [name for path, name in sorted(objects.listing(dataset).items()) if path.startswith(f"{SHARDS}/")]


def _may_hold(objects: Objects, name: str, subjects: set[str]) -> bool:
    """Whether a shard may have one of these subjects, by its footer: it is sorted by them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with suppress(pa.ArrowException, LineageError):  # whoever reads it whole will say what is wrong
        with objects.open(name) as file:
            metadata = pq.ParquetFile(file).metadata
        place = metadata.schema.names.index(SUBJECT)
        for group in range(metadata.num_row_groups):
            known = metadata.row_group(group).column(place).statistics
            if known is None or not known.has_min_max or any(known.min <= each <= known.max for each in subjects):
                return True
        return False
    return True


@dataclass(frozen=True)
class Wanted:
    """An image of a record, of one of the two dataset versions."""

    record_id: str
    subject_id: str
    dataset: str
    path: str  # where `--export` puts it
    kind: str


def differing(found: Difference, most: int | None = None) -> Iterator[Wanted]:
    """The images of all records that differ or flipped, or of the first ones of each kind; of changed ones, both."""
    before, after = (str(side.recorded.read(Role.DATASET)) for side in (found.a, found.b))
    if found.records is not None:
        for kind, table in found.records.kinds.items():
            for batch in table.slice(0, most).to_batches(max_chunksize=10_000):
                for row in batch.to_pylist():
                    yield from _of_row(kind, row, before, after)
    if found.both is not None:
        ids, subjects, labels = (found.both.b.column(name) for name in (ID, SUBJECT, LABEL))
        for kind, rows in flipped(found.both).items():
            for row in rows[:most].tolist():
                path = f"{kind}/{_safe(labels[row])}/{_safe(ids[row])}.png"
                yield Wanted(ids[row], subjects[row], found.both.b.dataset, path, kind)


def _of_row(kind: str, row: dict[str, Any], before: str, after: str) -> Iterator[Wanted]:
    record, subject, name = row[ID], row[SUBJECT], _safe(row[ID])
    split, label = _safe(row[SPLIT]), _safe(row[LABEL])
    if kind == "removed":
        yield Wanted(record, subject, before, f"{kind}/{split}/{label}/{name}.png", kind)
    elif kind == "relabelled":
        yield Wanted(record, subject, after, f"{kind}/{_safe(row[f'before_{LABEL}'])}_to_{label}/{name}.png", kind)
    elif kind == "moved":
        yield Wanted(
            record, subject, after, f"{kind}/{_safe(row[f'before_{SPLIT}'])}_to_{split}/{label}/{name}.png", kind
        )
    elif kind == "rewritten":
        yield Wanted(record, subject, before, f"{kind}/{label}/{name}.before.png", f"{kind} before")
        yield Wanted(record, subject, after, f"{kind}/{label}/{name}.after.png", kind)
    else:
        yield Wanted(record, subject, after, f"{kind}/{split}/{label}/{name}.png", kind)


def _safe(text: str) -> str:
    """A name for a file or folder: an id or a label may hold what that may not."""
    quoted = quote(str(text), safe="")
    return quoted.replace(".", "%2E") if set(quoted) <= {"."} else quoted


def read_images(objects: Objects, wanted: Iterable[Wanted], lacking: list[str]) -> Iterator[tuple[Wanted, bytes]]:
    """The images that are wanted, as they come. What cannot be had is said in `lacking`."""
    by_dataset: dict[str, dict[str, list[Wanted]]] = {}
    for each in wanted:
        by_dataset.setdefault(each.dataset, {}).setdefault(each.record_id, []).append(each)
    for dataset, records in by_dataset.items():
        had = set()
        try:
            subjects = {record_id: named[0].subject_id for record_id, named in records.items()}
            for record_id, image in images_of(objects, dataset, subjects):
                had.add(record_id)
                yield from ((each, image) for each in records[record_id])
        except LineageError as error:
            lacking.append(f"{len(records) - len(had)} images of dataset {dataset}: {error}")
            continue
        if len(had) < len(records):
            lacking.append(
                f"{len(records) - len(had)} images of dataset {dataset}: it has no such records in its shards."
            )


def export(found: Difference, target: Path) -> Exported:
    """Writes the images of the records that differ: KIND/…/RECORD_ID.png. Raises LineageError if `target` is taken."""
    done, sections = Exported(target), found.document["sections"]
    unanswered = found.both is None or not found.both.a.table.num_rows
    for name in ("data", *(["flipped records"] * unanswered)):  # nobody knows which images these would be
        done.lacking += [f"{name}: {what}" for what in sections[name]["unknown"]]
    with whole(target) as folder:
        for each, image in read_images(found.a.evidence.objects, differing(found), done.lacking):
            path = folder / each.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
            done.images += 1
    return done


def thumbnail(image: bytes) -> str:
    """An image as it is put into a page: small, as a data: address. Raises OSError if it is none."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        opened.thumbnail((EDGE, EDGE))
        exact = max(opened.size) <= AS_PNG or opened.mode not in ("L", "RGB")
        small = io.BytesIO()
        opened.save(small, **({"format": "PNG"} if exact else {"format": "JPEG", "quality": 82}))
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(small.getvalue()).decode()}"
