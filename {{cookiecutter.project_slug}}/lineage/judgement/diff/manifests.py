"""Two manifests against each other, column by column: a million records are some seconds and some hundred MB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ID, SUBJECT, SPLIT, LABEL, CONTENT = "record_id", "subject_id", "split", "label", "content_sha256"
COLUMNS = (ID, SUBJECT, SPLIT, LABEL, CONTENT)
REPEATED = (SUBJECT, SPLIT, LABEL)  # columns with few values: kept once each
KINDS = ("added", "removed", "relabelled", "moved", "rewritten", "reassigned")
SHOWN = 1_000  # ids in the answer, of each kind
SUBJECTS = 10  # that are named, of those with the most records


@dataclass
class Compared:
    """What differs between two manifests. Each kind is a table of the records; one may be of several kinds.

    Tables have the columns of the manifest as they are after, and those that differ also as `before_...`. Of `removed`,
    they are as they were. Ids are in their order.
    """

    before: int  # records
    after: int
    kinds: dict[str, pa.Table]
    columns: dict[str, int]  # further columns: how many records have another value
    only_before: list[str] = field(default_factory=list)  # columns
    only_after: list[str] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        return bool(
            any(len(table) for table in self.kinds.values()) or self.columns or self.only_before or self.only_after
        )


def read_manifest(path: Path) -> pa.Table:
    """All columns of a manifest. Raises ValueError if it has not those of one, or no value in one of them."""
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names
    if lacking := [name for name in COLUMNS if name not in names]:
        raise ValueError(f"it has no column {lacking[0]}")
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=list(REPEATED)) as file:
        table = file.read()
    if empty := [name for name in COLUMNS if table[name].null_count]:
        raise ValueError(f"{empty[0]} has no value in one of its rows")
    return table


def compare(before: pa.Table, after: pa.Table) -> Compared:
    """What differs between two manifests. Raises ValueError if one of them names a record twice."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for table in (before, after):
        if pc.count_distinct(table[ID]).as_py() != table.num_rows:
            raise ValueError("a manifest names a record twice")
    there = pc.index_in(after[ID], value_set=before[ID].combine_chunks())
    added = after.filter(pc.is_null(there))
    removed = before.filter(pc.invert(pc.is_in(before[ID], value_set=after[ID].combine_chunks())))
    new, old = after.filter(pc.is_valid(there)), before.take(there.drop_null())
    further = [name for name in new.column_names if name not in COLUMNS and name in old.column_names]
    differing = {name: _differ(old[name], new[name]) for name in (LABEL, SPLIT, CONTENT, SUBJECT, *further)}

    def changed(name: str) -> pa.Table:
        rows = differing[name]
        table = new.filter(rows)
        return table.append_column(
            pa.field(f"before_{name}", table[name].type), _as(old[name].filter(rows), table[name])
        )

    names = {"relabelled": LABEL, "moved": SPLIT, "rewritten": CONTENT, "reassigned": SUBJECT}
    kinds = {"added": added, "removed": removed, **{kind: changed(name) for kind, name in names.items()}}
    counts = {name: int(pc.sum(differing[name]).as_py() or 0) for name in further}
    return Compared(
        before=before.num_rows,
        after=after.num_rows,
        kinds={kind: kinds[kind].sort_by(ID) for kind in KINDS},
        columns={name: count for name, count in counts.items() if count},
        only_before=[name for name in before.column_names if name not in after.column_names],
        only_after=[name for name in after.column_names if name not in before.column_names],
    )


def summary(kind: str, table: pa.Table, slices: list[str]) -> dict[str, Any]:
    """How many records of a kind there are, of which subjects, by split, class and the values of `slices`."""
    import pyarrow.compute as pc

    subjects = _counts(table[SUBJECT])
    by = {
        "split": _pairs(table, SPLIT) if kind == "moved" else _counts(table[SPLIT]),
        "label": _pairs(table, LABEL) if kind == "relabelled" else _counts(table[LABEL]),
        **{name: _counts(pc.cast(table[name], "string")) for name in slices if name in table.column_names},
    }
    most = sorted(subjects.items(), key=lambda item: (-item[1], item[0]))[:SUBJECTS]
    ids = table[ID].slice(0, SHOWN).to_pylist()
    return {
        "records": table.num_rows,
        "subjects": len(subjects),
        "by": by,
        "most": dict(most),
        "ids": ids,
        "ids_left_out": table.num_rows - len(ids),
    }


def rows(table: pa.Table, most: int) -> Iterator[dict[str, Any]]:
    """The first rows of a table."""
    yield from table.slice(0, most).to_pylist()


def _differ(old: Any, new: Any) -> Any:
    """Where two columns differ; a value and none do."""
    import pyarrow.compute as pc

    old, new = (_plain(column) for column in (old, new))
    if old.type != new.type:
        old, new = (pc.cast(column, "string") for column in (old, new))
    unequal = pc.fill_null(pc.not_equal(old, new), False)
    return pc.or_(unequal, pc.xor(pc.is_null(old), pc.is_null(new)))


def _plain(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _as(column: Any, like: Any) -> Any:
    import pyarrow.compute as pc

    return column if column.type == like.type else pc.cast(_plain(column), like.type)


def _counts(column: Any) -> dict[str, int]:
    counts = _plain(column).value_counts().to_pylist()
    found = {"(none)" if each["values"] is None else str(each["values"]): each["counts"] for each in counts}
    return dict(sorted(found.items()))


def _pairs(table: pa.Table, name: str) -> dict[str, int]:
    import pyarrow.compute as pc

    return _counts(pc.binary_join_element_wise(_plain(table[f"before_{name}"]), _plain(table[name]), " -> "))
