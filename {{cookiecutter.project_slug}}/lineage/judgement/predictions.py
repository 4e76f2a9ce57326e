"""What a model said of single records, read back by its hash in dvc.lock; and of two models, on the same records."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import DamageError, LineageError
from ..contract import Role
from ..dvc.dvcfile import locked_hash
from ..dvc.objects import Objects
from ..dvc.recorded import Recorded
from ..proof.case import Evidence
from ..records.layout import MANIFEST

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

TEST = "test"
CONTENT = "content_sha256"  # of the manifest: the hash of a record's image


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions. Arrays have a value for each record, in the order of `table`."""

    md5: str
    dataset: str  # the dataset version whose records they are
    classes: list[str]  # in the order of the probabilities
    table: pa.Table  # the columns of records/predictions.py, those of slices, and `content_sha256` of the manifest

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Shape (records, classes)."""
        from ..records.predictions import PROBABILITIES

        column = self.table[PROBABILITIES].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, len(self.classes)).astype("float64")  # type: ignore[no-any-return]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The class number of the largest probability."""
        return self.probabilities.argmax(axis=1)  # type: ignore[no-any-return]

    @cached_property
    def right(self) -> NDArray[np.float64]:
        """1.0 where that is the record's label, else 0.0."""
        import numpy as np

        said = np.array(self.classes, dtype=object)[self.predicted]
        return np.asarray(said == self.column("label"), dtype=np.float64)

    @property
    def subjects(self) -> NDArray[np.object_]:
        """The subject of each record."""
        return self.column("subject_id")

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """The number of each record's subject, in the order of their ids."""
        import numpy as np

        encoded = self.table["subject_id"].combine_chunks().dictionary_encode()
        _, number = np.unique(np.array(encoded.dictionary.to_pylist(), dtype=object), return_inverse=True)
        return number[encoded.indices.to_numpy()]  # type: ignore[no-any-return]

    @property
    def slices(self) -> list[str]:
        """The columns by which scores are told apart, beside the label."""
        from ..records.predictions import ID_COLUMNS, PROBABILITIES

        return [name for name in self.table.column_names if name not in (*ID_COLUMNS, PROBABILITIES, CONTENT)]

    def column(self, name: str) -> NDArray[np.object_]:
        """A column of texts."""
        return self.table[name].to_numpy()  # type: ignore[no-any-return]

    def rows_by(self, name: str) -> dict[str | None, NDArray[np.int64]]:
        """The places of the records with each value of a column; found in one go, whatever the number of values."""
        import numpy as np
        import pyarrow.compute as pc

        encoded = pc.dictionary_encode(self.table[name].combine_chunks(), null_encoding="encode")
        values, of_records = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        ends = np.bincount(of_records, minlength=len(values)).cumsum()
        return dict(zip(values, np.split(of_records.argsort(kind="stable"), ends[:-1]), strict=False))

    def of_split(self, split: str) -> Predictions:
        """Those of one split."""
        import pyarrow.compute as pc

        return self._of(self.table.filter(pc.equal(self.table["split"], split)))

    def take(self, rows: Any) -> Predictions:
        """Some of them, by place, in this order."""
        return self._of(self.table.take(rows))

    def filter(self, rows: Any) -> Predictions:
        """Those for which `rows` holds true."""
        return self._of(self.table.filter(rows))

    def _of(self, table: Any) -> Predictions:
        return Predictions(self.md5, self.dataset, self.classes, table)


@dataclass(frozen=True)
class Common:
    """The records that both have, with the same label and the same bytes, in the order of their ids.

    What both have otherwise cannot be compared: `relabelled` and `rewritten` name these records, and neither has them.
    """

    a: Predictions
    b: Predictions
    relabelled: list[str]
    rewritten: list[str]  # with the label that they had
    only_a: int  # records
    only_b: int


def predictions_of(evidence: Evidence, recorded: Recorded) -> Predictions:
    """The predictions that dvc.lock of a commit, or here, records for its model.

    Raises LineageError, which says why, if there are none, they are another model's, or cannot be had whole.
    """
    path, model = recorded.pipeline.path(Role.PREDICTIONS), recorded.pipeline.path(Role.MODEL)
    entry, md5 = recorded.entry(Role.PREDICTIONS), recorded.made(Role.PREDICTIONS)
    if path is None:
        raise LineageError("its dvc.yaml gives nothing the role predictions: it was evaluated before these were kept.")
    if md5 is None:
        raise LineageError("its dvc.lock records no predictions: it was not evaluated, or before these were kept.")
    if not model or locked_hash(entry, "deps", model) != recorded.made(Role.MODEL):
        raise LineageError(f"{path} is about another model than dvc.lock records. `dvc repro` evaluates this one.")
    dataset = locked_hash(entry, "deps", recorded.pipeline.path(Role.DATASET) or "")
    if dataset is None:
        raise LineageError(f"dvc.lock does not say of which dataset version {path} is.")
    if (erasure := evidence.erasures.stated(md5)) and evidence.objects.is_missing(md5):
        raise LineageError(f"its predictions were {erasure.title}.")
    erased = evidence.erasures.of_dataset(dataset)  # what is left of the manifest has all whose predictions are left
    return read_predictions(evidence.objects, md5, dataset, erased.redacted if erased else None)


def read_predictions(objects: Objects, md5: str, dataset: str, manifest_md5: str | None = None) -> Predictions:
    """The predictions with a hash, for records of a dataset version. Raises LineageError if they cannot be had.

    `manifest_md5`: where the manifest is another object than the one that the dataset version lists.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from ..records.predictions import CLASSES_KEY, ID_COLUMNS, PROBABILITIES

    table = _read(objects, md5)
    try:
        classes = json.loads((table.schema.metadata or {})[CLASSES_KEY])
        kind = table.schema.field(PROBABILITIES).type
        fits = kind.list_size == len(classes) and not any(table[name].null_count for name in ID_COLUMNS)
    except (KeyError, ValueError, TypeError, AttributeError):
        fits = False
    if not fits or pc.count_distinct(table["record_id"]).as_py() != table.num_rows:
        raise LineageError(f"object {md5} is no file of predictions, or names a record twice.")
    values = table[PROBABILITIES].combine_chunks()
    if values.null_count or not pc.all(pc.is_finite(pc.fill_null(values.flatten(), float("nan"))), min_count=0).as_py():
        raise LineageError(f"object {md5} holds probabilities that are no numbers: what the model said is unknown.")
    manifest = _read(objects, manifest_md5 or _manifest(objects, dataset), ["record_id", CONTENT])
    place = pc.index_in(table["record_id"], value_set=manifest["record_id"].combine_chunks())
    if place.null_count:
        raise DamageError(f"predictions {md5} name {place.null_count} records that dataset {dataset} does not have.")
    content = manifest[CONTENT].take(place)
    return Predictions(md5, dataset, classes, table.append_column(pa.field(CONTENT, pa.string()), content))


def common(a: Predictions, b: Predictions, split: str = TEST) -> Common:
    """The records of a split that both have: for both this must have been the split."""
    import pyarrow.compute as pc

    one, other = a.of_split(split), b.of_split(split)
    one = one.take(pc.sort_indices(one.table["record_id"]))
    place = pc.index_in(one.table["record_id"], value_set=other.table["record_id"].combine_chunks())
    both = pc.is_valid(place)
    one, other = one.filter(both), other.take(place.drop_null())
    labels, contents = (pc.equal(one.table[name], other.table[name]) for name in ("label", CONTENT))
    same = pc.and_(labels, contents)
    ids, shared = one.table["record_id"], one.table.num_rows
    return Common(
        a=one.filter(same),
        b=other.filter(same),
        relabelled=ids.filter(pc.invert(labels)).to_pylist(),
        rewritten=ids.filter(pc.and_(labels, pc.invert(contents))).to_pylist(),
        only_a=a.of_split(split).table.num_rows - shared,
        only_b=b.of_split(split).table.num_rows - shared,
    )


def _manifest(objects: Objects, dataset: str) -> str:
    listing = objects.listing(dataset)
    if MANIFEST not in listing:
        raise LineageError(f"{MANIFEST} is not in the listing of dataset {dataset}.")
    return listing[MANIFEST]


def _read(objects: Objects, md5: str, columns: list[str] | None = None) -> Any:
    """A whole table, or some columns of it. Raises LineageError as `Objects.verified` does, or if it is no table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as scratch:
        try:
            with pq.ParquetFile(objects.verified(md5, Path(scratch)), page_checksum_verification=True) as file:
                table = file.read(columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise LineageError(f"object {md5} cannot be read: {error}") from error
    if lacking := [name for name in columns or () if name not in table.column_names]:
        raise LineageError(f"object {md5} has no column {lacking[0]}.")
    return table
