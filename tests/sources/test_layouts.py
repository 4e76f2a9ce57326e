"""How people's folders look: with what devices leave in them, divided into train and test, classes called alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from photographs import photograph, photographs, put
from stages import Workshop

SPLITS = ("train", "val", "test")


def configure(workshop: Workshop, folder: Path, *more: str) -> None:
    workshop.compose("data=image_folder", f"data.source.path='{folder}'", *more)


def fetch(workshop: Workshop) -> str:
    workshop.run("listing")
    return workshop.run("fetch")


def divided(folder: Path, names: dict[str, str]) -> Path:
    """Photographs of two classes in folders of these names, by split: 8 of each class, none there twice."""
    files, seed = {}, 0
    for split in SPLITS:
        for label, shade in (("cat", 60), ("dog", 200)):
            for number in range(8):
                seed += 1
                files[f"{names[split]}/{label}/{number}.jpg"] = photograph(shade, seed)
    return put(folder, files)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return divided(tmp_path / "photos", {split: split for split in SPLITS})


def test_what_devices_and_systems_leave_is_no_record_and_is_counted(workshop: Workshop, tmp_path: Path) -> None:
    photos = put(tmp_path / "photos", photographs())
    thumbnail = photograph(99, 1)
    left = ("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@Recycle", "__MACOSX")
    put(photos, {f"{name}/cat/a.jpg": thumbnail for name in left})
    put(photos, {f"{name}/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg": thumbnail for name in ("cat", "dog", "Füße")})
    put(photos, {".snapshot/cat/a.jpg": thumbnail, "cat/.ipynb_checkpoints/a-checkpoint.jpg": thumbnail})
    put(photos, {"Thumbs.db": b"x", "cat/desktop.ini": b"x"})
    configure(workshop, photos)
    said = fetch(workshop)
    assert {record["record_id"] for record in workshop.records()} == photographs().keys()
    assert f"72 records of 3 classes (Füße 24, cat 24, dog 24) from {photos}." in said
    counted = said.partition("Passed by, as files and folders of devices and systems: ")[2].splitlines()[0]
    once = {name for name in left if name != "@eaDir"} | {"Thumbs.db", "desktop.ini"}
    assert set(counted.rstrip(".").split(", ")) == {"4 @eaDir", "2 hidden", *(f"1 {name}" for name in once)}


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ({"train": "train", "val": "val", "test": "test"}, "'test', 'train', 'val'"),
        ({"train": "Training", "val": "validation", "test": "Test_Set"}, "'Test_Set', 'Training', 'validation'"),
    ],
)
def test_folders_of_splits_are_refused_with_the_setting(
    names: dict[str, str], shown: str, workshop: Workshop, tmp_path: Path
) -> None:
    configure(workshop, divided(tmp_path / "photos", names))
    sentence = workshop.refusal("listing")
    assert f"the folders {shown} in {tmp_path / 'photos'} look like splits" in sentence
    assert "data.source.splits" in sentence


def test_splits_that_are_kept_are_those_of_the_folders(workshop: Workshop, photos: Path) -> None:
    put(photos, {"valid/cat/other.jpg": photograph(60, 99)})  # a second name for one split
    configure(workshop, photos, "data.source.splits=keep", "data.fraction=0.9")
    fetch(workshop)
    assert "the splits are those of the source: data.split is not used." in workshop.run("preprocess")
    manifest = workshop.manifest()
    assert 30 < len(manifest) < 49
    meant = {"train": "train", "val": "val", "valid": "val", "test": "test"}
    assert all(row["split"] == meant[row["record_id"].split("/")[0]] for row in manifest)
    assert all(row["label"] == row["record_id"].split("/")[1] for row in manifest)
    description = json.loads((workshop.root / "data" / "processed" / "dataset.json").read_text())
    assert description["split_by"] == "source"

    # a subject on both sides, an image on neither, a split without any
    configure(workshop, photos, "data.source.splits=keep", "data.source.subject='/([0-9]+|other).jpg'")
    fetch(workshop)
    assert "a subject is in one split" in workshop.refusal("preprocess")
    put(photos, {"eval/cat/a.jpg": photograph(60, 100), "dog/a.jpg": photograph(200, 101)})
    configure(workshop, photos, "data.source.splits=keep")
    assert "2 images in" in (sentence := workshop.refusal("listing"))
    assert "in no folder that is clearly train, val or test: 'dog/a.jpg', 'eval/cat/a.jpg'" in sentence


def test_a_split_that_the_folders_lack_is_not_made_up(workshop: Workshop, photos: Path) -> None:
    (photos / "val").rename(photos / "training")
    configure(workshop, photos, "data.source.splits=keep")
    fetch(workshop)
    assert "the split 'val' is empty: the source has no records in it" in workshop.refusal("preprocess")


def test_splits_that_are_pooled_are_passed_over(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos, "data.source.splits=pool")
    assert "48 records of 2 classes (cat 24, dog 24)" in fetch(workshop)
    assert {record["label"] for record in workshop.records()} == {"cat", "dog"}
    workshop.run("preprocess")
    assert any(row["split"] != row["record_id"].split("/")[0] for row in workshop.manifest())
    configure(workshop, photos, "data.source.splits=ignore")
    assert "48 records of 3 classes (test 16, train 16, val 16)" in fetch(workshop)


def test_a_column_of_splits_is_asked_about_and_kept(workshop: Workshop, photos: Path) -> None:
    rows = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*.jpg"))]
    table = "record_id,subject_id,label,path,split\n" + "".join(
        f"{path},{path},{path.split('/')[1]},{path},{path.split('/')[0].title()}\n" for path in rows
    )
    put(photos, {"table.csv": table.encode()})
    configure(workshop, photos, "data.source.table=table.csv")
    assert "the table table.csv has a column split. Choose with data.source.splits:" in workshop.refusal("listing")
    configure(workshop, photos, "data.source.table=table.csv", "data.source.splits=keep")
    fetch(workshop)
    assert all(record["split"] == str(record["path"]).split("/")[0] for record in workshop.records())
    put(photos, {"table.csv": table.replace(",Val\n", ",later\n", 1).encode()})
    assert "a split that is not train, val or test in line" in workshop.refusal("listing")
    configure(workshop, photos, "data.source.table=table.csv", "data.source.splits=pool")
    fetch(workshop)
    assert "split" not in workshop.records()[0]


def test_classes_that_are_called_alike_are_asked_about(workshop: Workshop, tmp_path: Path) -> None:
    photos = put(tmp_path / "photos", photographs())
    put(photos, {f"Cat/{number}.jpg": photograph(60, 100 + number) for number in range(3)})
    configure(workshop, photos)
    fetch(workshop)
    sentence = workshop.refusal("preprocess")
    assert "classes are called alike: 'Cat' (3 records) and 'cat' (24 records)." in sentence
    workshop.set("data=image_folder", f"data.source.path='{photos}'", "data.alike_classes=keep")
    assert "alike" not in workshop.run("preprocess", code=None)  # three records may miss a split
