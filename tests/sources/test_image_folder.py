"""`data=image_folder` and `data=dvc_folder`: one's own images, from a folder, a table, or what DVC versions."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photographs import EACH, SHADES, photograph, photographs, put
from stages import Workshop

COLUMNS = ("record_id", "subject_id", "label", "path")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put(tmp_path / "photos", photographs())


def configure(workshop: Workshop, folder: Path, *more: str) -> None:
    workshop.compose("data=image_folder", f"data.source.path='{folder}'", *more)


def read(workshop: Workshop) -> list[dict[str, object]]:
    """The raw records, after a look and a fetch."""
    workshop.run("listing")
    workshop.run("fetch")
    return workshop.records()


def as_csv(rows: list[tuple[str, ...]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([COLUMNS, *rows])
    return buffer.getvalue().encode()


def as_parquet(rows: list[tuple[str, ...]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def test_a_tree_of_classes(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos)
    records = {str(record["record_id"]): record for record in read(workshop)}
    assert records.keys() == photographs().keys()
    for path, data in photographs().items():
        record = records[path]
        assert record["subject_id"] == path
        assert record["label"] == path.split("/")[0]
        assert record["image"] == data
    workshop.run("preprocess")
    assert {row["record_id"] for row in workshop.manifest()} == photographs().keys()


def test_what_is_no_photograph_is_left_out_and_counted(workshop: Workshop, photos: Path, tmp_path: Path) -> None:
    put(
        photos,
        {
            "README.txt": b"x",
            "cat/notes.txt": b"x",
            "cat/raw/IMG_1.CR2": b"x",
            "cat/.hidden.jpg": b"x",
            "cat/Thumbs.db": b"x",
            ".DS_Store": b"x",
            "__MACOSX/cat/IMG.jpg": b"x",
            "cat/deep/er/one.PNG": photograph(60, 1, "PNG"),
        },
    )
    (photos / "dog" / "linked.jpg").symlink_to(photos / "dog" / "IMG 000.JPG")
    (photos / "bird").symlink_to(put(tmp_path / "elsewhere", {"a.webp": photograph(9, 1, "WEBP")}))
    configure(workshop, photos)
    more = {"cat/deep/er/one.PNG", "dog/linked.jpg", "bird/a.webp"}
    assert {record["record_id"] for record in read(workshop)} == photographs().keys() | more
    assert "Left out: 3 files that are no images (2 .txt, 1 .cr2)." in workshop.run("fetch")


def test_subjects_by_an_expression(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos, "data.source.subject='IMG ([0-9]+)'")
    records = read(workshop)
    assert {record["subject_id"] for record in records} == {f"{number:03d}" for number in range(EACH)}
    assert len(records) == EACH * len(SHADES)
    configure(workshop, photos, "data.source.subject='(IMG 0[01][0-9])'")
    assert "12 images" in workshop.refusal("listing")


@pytest.mark.parametrize(("name", "pack"), [("table.csv", as_csv), ("lists/table.PARQUET", as_parquet)])
def test_a_table_of_records(workshop: Workshop, photos: Path, name: str, pack: object) -> None:
    assert callable(pack)
    rows = [
        (f"SCAN-{number}", f"Ann {number // 3}", "sick" if number % 2 else "well", path)
        for number, path in enumerate(photographs())
    ]
    put(photos, {name: pack(rows)})
    configure(workshop, photos, f"data.source.table='{name}'")
    records = read(workshop)
    assert [tuple(record[column] for column in COLUMNS) for record in records] == sorted(rows)
    assert all(record["image"] == photographs()[str(record["path"])] for record in records)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (b"record_id,subject_id,label\nA,B,C\n", "no column path"),
        (b"record_id,subject_id,label,path\n", "it has no rows"),
        (b"record_id,subject_id,label,path\nA,B,C,cat/IMG 000.JPG\nA,B,C,cat/IMG 001.JPG\n", "second time in line 3"),
        (b"record_id,subject_id,label,path\nA,B,C,cat/none.JPG\n", "no file at a path (it has / for"),
        (b'record_id,subject_id,label,path\n"A\nB",B,C,cat/IMG 000.JPG\n', "record_id with a NUL, a line break"),
        (
            b'record_id,subject_id,label,path\nA," B",C,cat/IMG 000.JPG\n',
            "subject_id with a NUL, a line break or blank",
        ),
        (b"record_id,subject_id,label,path\nA,B,,cat/IMG 000.JPG\n", "an empty label in line 2"),
        (b"record_id,subject_id,label,path\nA,B,C,../photos/cat/IMG 000.JPG\n", "no file at a path (it has / for"),
        (b"record_id,subject_id,label,path\nA,B\n", "not the 4 fields"),
        (
            "record_id,subject_id,label,path\nZo\u00eb,A,C,cat/IMG 000.JPG\nZoe\u0308,A,C,cat/IMG 001.JPG\n".encode(),
            "a record_id for the second time in line 3 (as in 2)",
        ),
        (
            "record_id,subject_id,label,path\nA,B\u200b,C,cat/IMG 000.JPG\n".encode(),
            "a subject_id with U+200B, which is invisible, a blank like others, or no character in line 2",
        ),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_table_that_cannot_be_right(workshop: Workshop, photos: Path, table: bytes, fault: str) -> None:
    put(photos, {"table.csv": table})
    configure(workshop, photos, "data.source.table=table.csv")
    sentence = workshop.refusal("listing")
    assert fault in sentence
    assert "table.csv" in sentence


def test_numbers_for_ids_and_a_broken_parquet_file(workshop: Workshop, photos: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"record_id": [1], "subject_id": ["1"], "label": ["a"], "path": ["cat/IMG 000.JPG"]}), sink)
    put(photos, {"table.parquet": sink.getvalue().to_pybytes()})
    configure(workshop, photos, "data.source.table=table.parquet")
    assert "lost its leading zeros" in workshop.refusal("listing")
    put(photos, {"table.parquet": b"PAR1 not"})
    assert "cannot be read" in workshop.refusal("listing")
    (photos / "table.parquet").unlink()
    assert "there is no 'table.parquet'" in workshop.refusal("listing")


def test_text_that_is_not_utf8_in_a_parquet_file(workshop: Workshop, photos: Path) -> None:
    path = next(iter(photographs()))
    data = as_parquet([("SCAN-1", "PAT-777", "sick", path)]).replace(b"PAT-777", b"PAT-\xff\xff\xff")
    put(photos, {"table.parquet": data})
    configure(workshop, photos, "data.source.table=table.parquet")
    assert "the table table.parquet in" in (said := workshop.refusal("listing"))
    assert "cannot be read" in said


def test_a_subject_that_a_table_writes_in_two_ways_is_one(workshop: Workshop, photos: Path) -> None:
    forms = ["NFC", "NFD"] * len(photographs())
    rows = [
        tuple(unicodedata.normalize(form, text) for text in (f"scan é {number}", "Zoë", "größer", path))
        for number, (form, path) in enumerate(zip(forms, photographs(), strict=False))
    ]
    put(photos, {"table.csv": as_csv(rows)})
    configure(workshop, photos, "data.source.table=table.csv")
    records = read(workshop)
    assert len(records) == len(rows)
    assert {(record["subject_id"], record["label"]) for record in records} == {("Zoë", "größer")}
    assert {record["record_id"] for record in records} == {f"scan é {number}" for number in range(len(rows))}


def test_names_are_the_same_on_every_platform(workshop: Workshop, tmp_path: Path) -> None:
    composed = photographs()
    decomposed = {unicodedata.normalize("NFD", path): data for path, data in composed.items()}
    assert decomposed.keys() != composed.keys()
    configure(workshop, put(tmp_path / "mac", decomposed))
    assert {record["record_id"] for record in read(workshop)} == composed.keys()
    configure(workshop, put(put(tmp_path / "both", composed), decomposed))
    assert "is there twice" in workshop.refusal("listing")


def test_a_change_is_seen_and_nothing_else_runs_again(workshop: Workshop, photos: Path) -> None:
    def ran() -> set[str]:
        output = workshop.project.dvc("repro", "preprocess")
        stages = ("listing@folder", "fetch", "preprocess")
        return {stage for stage in stages if f"Running stage '{stage}'" in output}

    configure(workshop, photos)
    changed = {"listing@folder", "fetch", "preprocess"}
    assert ran() == changed
    assert ran() == {"listing@folder"}
    for path in photos.rglob("*.JPG"):
        os.utime(path)  # another time, the same content
    put(photos, {"README.txt": b"no image"})
    assert ran() == {"listing@folder"}

    picture, other = photos / "cat" / "one.bmp", photos / "cat" / "IMG 001.JPG"
    put(photos, {"cat/one.bmp": photograph(60, 98, "BMP")})
    assert ran() == changed
    stat, before = picture.stat(), picture.read_bytes()
    picture.write_bytes(photograph(60, 99, "BMP"))
    assert picture.stat().st_size == stat.st_size
    os.utime(picture, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # only the content is another
    assert ran() == changed
    picture.write_bytes(before)
    assert ran() == {"listing@folder"}  # dvc has the outputs of then in its cache
    other.rename(photos / "dog" / "moved.JPG")
    assert ran() == changed
    assert {row["label"] for row in workshop.manifest() if row["record_id"] == "dog/moved.JPG"} == {"dog"}


def test_a_folder_that_changes_between_look_and_fetch_is_not_taken(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos)
    workshop.run("listing")
    put(photos, {"cat/IMG 000.JPG": photograph(61, 1)})
    assert "changed while it was read" in workshop.refusal("fetch")
