"""Who is named in a file, by whatever wrote it; and who is not."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage.erasure.search import LIMIT, Search, UnsearchableError
from lineage.erasure.spellings import Hit, is_distinct

ID = "PAT-00023"
NAME = 'O\'Neill, "Jo" Müller'


def look(data: bytes, *ids: str, name: str = "file.txt") -> Hit:
    return Search(ids or (ID,)).in_file(name, io.BytesIO(data))


def zipped(data: bytes, name: str = "inside.txt") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def parquet(**columns: list[object]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "PAT-00023",
        "seen with PAT-00023, twice",
        'x,"a note on PAT-00023; call back",3',
        "cat/PAT-00023_cat.png",
        "'cat/PAT-00023_cat.png' cannot be read",
        '{"path": "cat\\/PAT-00023.png"}',
        json.dumps("first line\nPAT-00023\nlast"),
        f"?next={quote('/PAT-00023', safe='')}",
        "(PAT-00023)",
        "the end of a sentence: PAT-00023.",
    ],
)
def test_a_word_in_running_text(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"):
        assert look(text.encode(encoding)) is Hit.SURE


@pytest.mark.parametrize("text", ["PAT-000231", "PAT-0002", "XPAT-00023", "PAT-00023a", "PAT_00023", "1PAT-00023", ""])
def test_a_part_of_another_word(text: str) -> None:
    for encoding in ("utf-8", "utf-16", "utf-32"):
        assert look(f"a {text} b".encode(encoding)) is Hit.NO


@pytest.mark.parametrize("text", ["PAT-00023-B", "X-PAT-00023", "PAT-00023.5"])
def test_what_may_be_another_id_is_left_to_a_person(text: str) -> None:
    assert look(text.encode()) is Hit.MAYBE


@pytest.mark.parametrize(
    "text",
    [
        NAME,
        'a,"O\'Neill, ""Jo"" Müller",b',
        json.dumps([NAME]),
        json.dumps([NAME], ensure_ascii=False),
        repr([NAME]),
        "<td>O&#x27;Neill, &quot;Jo&quot; Müller</td>",
        "INSERT INTO t VALUES ('O''Neill, \"Jo\" Müller')",
        f"/p/{quote(NAME)}/x",
    ],
)
def test_an_id_as_formats_write_it(text: str) -> None:
    assert look(text.encode(), NAME) is Hit.SURE


def test_an_id_in_old_encodings_and_decomposed() -> None:
    assert look("Anne Müller;1".encode("cp1252"), "Anne Müller") is Hit.SURE
    assert look("Anne Mu\u0308ller;1".encode(), "Anne Müller") is Hit.SURE
    assert look("患者 7".encode("shift_jis"), "患者 7") is Hit.SURE
    assert look("この患者 7です".encode(), "患者 7") is Hit.MAYBE  # without blanks between words


def test_a_year_and_a_first_name_are_not_taken_for_somebody() -> None:
    for subject_id, text in (("1950", "born in 1950"), ("1950", "1950-01-02"), ("Peter", "for Peter")):
        assert look(text.encode(), subject_id) is Hit.MAYBE
    assert look(b"19500 or 0.1950x", "1950") is Hit.NO
    assert look(b"year,n\n1950,2\n", "1950", name="t.csv") is Hit.MAYBE
    for table in ("subject_id,n\n1950,2\n", '"n";"subject_id"\n"2";"1950"\n'):
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            assert look(table.encode(encoding), "1950", name="t.csv") is Hit.SURE
    assert look(parquet(subject_id=["7", "1950"], n=[1, 2]), "1950") is Hit.SURE
    assert look(parquet(subject_id=[7, 1950]), "1950") is Hit.SURE
    assert look(parquet(subject_id=["7"], year=["1950"]), "1950") is Hit.MAYBE
    assert look(parquet(subject_id=["7"], year=[1950]), "1950") is Hit.NO
    assert is_distinct("9434765919")  # long numbers mean somebody
    assert not is_distinct("20240131")


def test_parquet_beside_the_column_of_subjects() -> None:
    assert look(parquet(subject_id=["x"], note=["about PAT-00023"])) is Hit.SURE
    assert look(parquet(subject_id=["x"], notes=[["", "PAT-00023"]])) is Hit.SURE
    assert look(parquet(subject_id=["PAT-000231"], record_id=["x"])) is Hit.NO


def test_in_what_is_compressed() -> None:
    for data in (f"see {ID}".encode(), f"see {ID}".encode("utf-16"), parquet(subject_id=[ID])):
        packed = (
            gzip.compress(data),
            bz2.compress(data),
            lzma.compress(data),
            zipped(data),
            gzip.compress(zipped(data)),
        )
        for each in packed:
            assert look(each, name="f.bin") is Hit.SURE
    assert look(gzip.compress(b"subject_id\n1950\n"), "1950", name="t.csv.gz") is Hit.SURE
    assert look(zipped(b"", name=f"{ID}.png")) is Hit.SURE


def test_what_cannot_be_looked_into_is_said() -> None:
    whole = gzip.compress(b"x" * 1000)
    for data in (whole[:-9], b"PAR1 and no more", b"PK\x03\x04 and no more"):
        with pytest.raises(UnsearchableError, match="cannot be looked into"):
            look(data)
    deep = b"x"
    for _ in range(6):
        deep = gzip.compress(deep)
    with pytest.raises(UnsearchableError, match="times"):
        look(deep)
    assert LIMIT < 2**31


def test_across_the_edge_of_what_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage.erasure.search.CHUNK", 64)
    for before in range(120):
        assert look(b" " * before + ID.encode() + b" " * 100) is Hit.SURE
        assert look(b" " * before + b"PAT-000234" + b" " * 100) is Hit.NO
