"""Two manifests against each other, column by column: the answer is that of comparing rows one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.judgement.diff.manifests import Compared, compare, read_manifest, summary
from lineage.records.dataset import MANIFEST_SCHEMA

NAMES = MANIFEST_SCHEMA.names
KINDS = {"relabelled": "label", "moved": "split", "rewritten": "content_sha256", "reassigned": "subject_id"}


def table(rows: list[dict[str, Any]], *further: str) -> pa.Table:
    schema = MANIFEST_SCHEMA
    for name in further:
        schema = schema.append(pa.field(name, pa.string()))
    return pa.Table.from_pylist(rows, schema)


def row(record: str, subject: str = "P", split: str = "train", label: str = "0", content: str = "c") -> dict[str, Any]:
    return dict(zip(NAMES, (record, subject, split, label, content), strict=True))


def ids(compared: Compared) -> dict[str, list[str]]:
    return {kind: found["record_id"].to_pylist() for kind, found in compared.kinds.items()}


rows = st.lists(
    st.builds(
        row, st.sampled_from("abcdefgh"), *(st.sampled_from(pair) for pair in ("PQ", ("train", "test"), "01", "cd"))
    ),
    max_size=8,
    unique_by=lambda each: each["record_id"],
)


@given(rows, rows)
def test_differences_are_those_of_comparing_rows_one_by_one(before: list[Any], after: list[Any]) -> None:
    compared = compare(table(before), table(after))
    old, new = ({each["record_id"]: each for each in side} for side in (before, after))
    expected = {"added": sorted(new.keys() - old.keys()), "removed": sorted(old.keys() - new.keys())}
    for kind, name in KINDS.items():
        expected[kind] = sorted(each for each in old.keys() & new.keys() if old[each][name] != new[each][name])
    assert ids(compared) == expected
    for kind, name in KINDS.items():
        was = compared.kinds[kind][f"before_{name}"].to_pylist()
        assert was == [old[each][name] for each in expected[kind]]
        assert compared.kinds[kind][name].to_pylist() == [new[each][name] for each in expected[kind]]
    assert (compared.before, compared.after) == (len(before), len(after))


def test_further_columns_count() -> None:
    before = [{**row(name), "site": site} for name, site in zip("abcd", ("N", "N", None, "S"), strict=True)]
    after = [{**row(name), "site": site} for name, site in zip("abce", ("N", "S", "S", None), strict=True)]
    compared = compare(table(before, "site"), table(after, "site"))
    assert compared.columns == {"site": 2}
    assert summary("added", compared.kinds["added"], ["site"])["by"]["site"] == {"(none)": 1}
    assert summary("removed", compared.kinds["removed"], ["site"])["by"]["site"] == {"S": 1}
    widened = compare(table([row("a")]), table([{**row("a"), "site": "N"}], "site"))
    assert (widened.only_before, widened.only_after) == ([], ["site"])
    assert not any(ids(widened).values())


def test_counts_are_by_split_class_and_subject() -> None:
    before = table([row("a", "P", "train", "3"), row("b", "P", "train", "3"), row("c", "Q", "test", "8")])
    after = table([row("a", "P", "test", "8"), row("b", "P", "test", "3"), row("c", "Q", "test", "8")])
    compared = compare(before, after)
    moved = summary("moved", compared.kinds["moved"], [])
    assert moved["by"] == {"split": {"train -> test": 2}, "label": {"3": 1, "8": 1}}
    assert (moved["records"], moved["subjects"], moved["most"], moved["ids"]) == (2, 1, {"P": 2}, ["a", "b"])
    assert summary("relabelled", compared.kinds["relabelled"], [])["by"]["label"] == {"3 -> 8": 1}


def test_a_record_twice_is_no_answer() -> None:
    with pytest.raises(ValueError, match="names a record twice"):
        compare(table([row("a")]), table([row("a"), row("a", label="1")]))


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_without_a_column_or_a_value_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "manifest.parquet"
    pq.write_table(table([row("a")]), path)
    assert read_manifest(path).num_rows == 1
    pq.write_table(table([row("a")]).drop_columns([name]), path)
    with pytest.raises(ValueError, match=f"no column {name}"):
        read_manifest(path)
    empty = pa.table({each: pa.array([None if each == name else "x"], pa.string()) for each in NAMES})
    pq.write_table(empty, path)
    with pytest.raises(ValueError, match="no value in one of its rows"):
        read_manifest(path)


def test_a_manifest_read_from_a_file_compares_with_one_in_memory(tmp_path: Path) -> None:
    """Columns with few values are read as dictionaries."""
    path = tmp_path / "manifest.parquet"
    pq.write_table(table([row("a"), row("b", label="1")]), path)
    compared = compare(read_manifest(path), table([row("a", label="2"), row("b", label="1")]))
    assert ids(compared)["relabelled"] == ["a"]
    assert summary("relabelled", compared.kinds["relabelled"], [])["by"]["label"] == {"0 -> 2": 1}
