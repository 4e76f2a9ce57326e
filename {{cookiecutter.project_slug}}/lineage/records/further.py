"""Further columns of records: site, scanner, sex, age band. `data.columns` names those that a dataset version carries.

They stand behind the columns of the manifest, as texts, and change its hash. With none, nothing of it changes.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from ..base.errors import DataError
from ..settings.data import Data
from .dataset import MANIFEST_SCHEMA, ROW_FIELDS
from .ids import fault_of_id


def further_of(names: Iterable[str], *others: str) -> list[str]:
    """Which columns of a manifest or of rows are further ones. `others` are columns that are none either."""
    known = {*MANIFEST_SCHEMA.names, *ROW_FIELDS, *others}
    return [name for name in names if name not in known]


def carried(table: pa.Table, settings: Data) -> pa.Table:
    """The further columns of raw records as a dataset version has them, in the order of the settings.

    Raises DataError if one is missing, is no text, has a value that cannot be one, or lacks one.
    """
    if missing := [name for name in settings.columns if name not in table.column_names]:
        raise DataError(
            f"data.columns names {missing[0]}, which the raw records do not have. Correct the name, or let the source "
            "write that column."
        )
    chosen = table.select(settings.columns)
    for name in settings.columns:
        values = chosen[name]
        if not pa.types.is_string(values.type):
            raise DataError(f"the column {name} of the raw records must be text, and is {values.type}.")
        chosen = chosen.set_column(chosen.column_names.index(name), name, _whole(name, values, settings.missing_value))
    return chosen


def _whole(name: str, values: pa.ChunkedArray, stand_in: str | None) -> pa.ChunkedArray:
    """The values, with `stand_in` where there is none."""
    is_missing = pc.or_kleene(pc.is_null(values), pc.equal(pc.fill_null(values, ""), ""))
    if count := pc.sum(is_missing).as_py() or 0:
        if stand_in is None:
            raise DataError(
                f"{count} of {len(values)} records have no {name}, which data.columns names. Fill it in the source, or "
                "name what stands for it with data.missing_value (such as unknown)."
            )
        values = pc.if_else(is_missing, stand_in, values)
    for value in pc.unique(values).to_pylist():
        if fault := fault_of_id(value, name):
            raise DataError(f"{fault} is in the raw data: {value!r}. Give it another in the source.")
    return values
