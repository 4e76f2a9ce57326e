"""Folders without images, ids that are none, splits without records, settings out of range, and two at once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photographs import photograph, photographs, put
from stages import Workshop


def configure(workshop: Workshop, folder: Path | str, *more: str) -> None:
    workshop.compose("data=image_folder", f"data.source.path='{folder}'", *more)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "there are no images in"),
        ({"cat/a.heic": b"x", "cat/b.heic": b"x"}, "only 2 files that are no images (2 .heic)"),
        ({"a.jpg": b"x", "cat/b.jpg": b"x"}, "1 image without a class directly in"),
        ({"cat/a\nb.jpg": b"x"}, "'cat/a\\nb.jpg'"),
        ({" cat/a.jpg": b"x"}, "' cat/a.jpg'"),
        (
            {"cat/a\u202e.jpg": b"x"},
            "an invisible character, blanks around it, or no valid letters: 'cat/a\\u202e.jpg'",
        ),
    ],
    ids=["empty", "other files", "no class", "line break", "blank", "invisible"],
)
def test_a_folder_that_cannot_be_right(
    workshop: Workshop, tmp_path: Path, files: dict[str, bytes], sentence: str
) -> None:
    (tmp_path / "photos").mkdir()
    configure(workshop, put(tmp_path / "photos", files))
    assert sentence in workshop.refusal("listing")


def test_a_folder_that_is_not_there_or_is_none(workshop: Workshop, tmp_path: Path) -> None:
    configure(workshop, tmp_path / "photos")
    assert f"{tmp_path / 'photos'} does not exist" in workshop.refusal("listing")
    (tmp_path / "photos").touch()
    assert "is no folder" in workshop.refusal("listing")
    configure(workshop, "no/where")  # relative to the project
    assert f"{workshop.root / 'no' / 'where'} does not exist" in workshop.refusal("listing")
    configure(workshop, "~nobody-of-this-name/photos")
    for stage in ("config", "listing"):
        assert "'~nobody-of-this-name/photos' names a home folder that does not exist here" in workshop.refusal(stage)


def test_links_that_lead_nowhere_or_in_a_circle(workshop: Workshop, tmp_path: Path) -> None:
    photos = put(tmp_path / "photos", {"cat/a.jpg": b"x"})
    link = photos / "cat" / "b.jpg"
    link.symlink_to(photos / "gone.jpg")
    configure(workshop, photos)
    assert "'b.jpg' in" in workshop.refusal("listing")
    link.unlink()
    (photos / "dog").symlink_to(tmp_path / "disk that is not there")  # a whole class
    assert f"'dog' in {photos} is a link that leads nowhere" in workshop.refusal("listing")
    (photos / "dog").unlink()
    (photos / "cat" / "again").symlink_to(photos)
    assert "is a link to a folder that it lies in" in workshop.refusal("listing")


def test_a_folder_inside_of_the_project_that_git_would_take_in(workshop: Workshop) -> None:
    (workshop.root / "photos").mkdir()
    workshop.compose("data=image_folder", "data.source.path=photos")
    assert "photos lies in the Git repository" in workshop.refusal("config")
    with (workshop.root / ".gitignore").open("a") as ignored:
        ignored.write("/photos/\n")
    workshop.run("config")


def test_what_dvc_should_version_is_missing(workshop: Workshop) -> None:
    workshop.compose("data=dvc_folder")
    output = workshop.project.dvc("repro", "fetch", code=None)
    assert "config: data/source, where data.source.path says that the records are, is missing." in output
    assert "dvc add data/source" in output
    assert "Traceback" not in output


def test_what_dvc_should_version_is_not_in_dvc(workshop: Workshop) -> None:
    """Git would take in every image."""
    put(workshop.root / "data" / "source", {"cat/a.jpg": photograph(60, 1)})
    workshop.compose("data=dvc_folder")
    try:
        assert "Run `dvc add data/source`" in workshop.refusal("config")
        workshop.project.dvc("add", "--quiet", "data/source")
        workshop.run("config")
    finally:
        workshop.project.run("rm", "-rf", "data/source", "data/source.dvc")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data=image_folder"], "data.source.path must be set"),
        (["data=image_folder", "data.source.path=ftp://host/x"], "must be a folder of this machine or s3://"),
        (["data=image_folder", "data.source.path=x", "data.source.subject='a(b'"], "must be a regular expression"),
        (["data=image_folder", "data.source.path=x", "data.source.subject=ab"], "must have one group"),
        (
            ["data=image_folder", "data.source.path=x", "data.source.table=t.xlsx"],
            "data.source.table: must be a .csv or .parquet",
        ),
        (
            ["data=image_folder", "data.source.path=x", "data.listing={enabled: [], path: y}"],
            "listing follows from other settings",
        ),
        (
            ["data=image_folder", "data.source.path=x", "+data.source.labels=1"],
            "data.source.labels is not a setting; data.source has name, path, splits, subject, table",
        ),
        (["data=cifar10", "data.source.sha256=abc"], "data.source.sha256: "),
        (["data=cifar10", "data.source.url='https://me:secret@host/x'"], "data.source.url: must hold no user"),
        (["data.source.name=nothing"], "(one of your own needs a class in traceable_digits/settings.py)"),
        (["data.on_bad_record=ignore"], "data.on_bad_record: "),
        (["data.fraction=0"], "data.fraction: "),
        (["data.fraction=1.5"], "data.fraction: "),
        (["data.fraction=abc"], "data.fraction: "),
        (["data.split.train=0.5"], "add up to 1"),
        (["train.device=abacus"], "train.device"),
    ],
)
def test_a_setting_that_cannot_work(workshop: Workshop, overrides: list[str], sentence: str) -> None:
    """Refused by the command that composes, and by each stage, for `dvc exp run -S` asks nobody."""
    status, composing = workshop.lineage.ask(workshop.project, "compose", *overrides)
    workshop.impose(*overrides)
    for said in (composing, workshop.refusal("fetch")):
        assert sentence in said
        assert "secret@" not in said
    assert status == 1


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.fraktion=0.5", "data.fraktion is not a setting (did you mean data.fraction?)."),
        ("nothing.at.all=1", "nothing.at.all is not a setting; params.yaml has callbacks, compute,"),
        ("data=cifar", "Could not find 'data/cifar'"),
        ("data.shards.salt=a b (secret)", "the value given for data.shards.salt cannot be read"),
        ("data.source.path=~/photos", "Where it holds blanks, brackets, commas or ~, put it in quotes"),
        ("train.lr", "train.lr is no override: write KEY=VALUE."),
    ],
)
def test_an_override_that_hydra_refuses(workshop: Workshop, override: str, sentence: str) -> None:
    before = (workshop.root / "params.yaml").read_bytes()
    status, said = workshop.lineage.ask(workshop.project, "compose", override)
    assert status == 1
    assert sentence in said
    assert "config use +" not in said  # what + adds is refused as well
    assert "secret" not in said
    assert "Traceback" not in said
    assert (workshop.root / "params.yaml").read_bytes() == before


@pytest.fixture(scope="module")
def digits(workshop: Workshop) -> pa.Table:
    """The raw records of the digits."""
    workshop.compose()
    workshop.run("fetch")
    return pq.read_table(workshop.root / "data" / "raw" / "records.parquet")


def write_raw(workshop: Workshop, digits: pa.Table, changes: list[dict[str, object]]) -> None:
    """Digits as raw records, with these put in the place of the first ones."""
    workshop.compose()
    rows = digits.to_pylist()
    for row, change in zip(rows, changes, strict=False):
        row.update(change)
    (workshop.root / "data" / "raw").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=digits.schema), workshop.root / "data" / "raw" / "records.parquet")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([{"record_id": "SCAN-00007"}], "two records have the id 'SCAN-00007'"),
        (
            [{"record_id": "a\nb"}],
            "a record_id with a NUL, a line break or blanks around it is in the raw data: 'a\\nb'",
        ),
        ([{"subject_id": "a\u2028b"}], "a subject_id with a NUL, a line break"),
        ([{"subject_id": ""}], "an empty subject_id"),
        ([{"subject_id": "Zoe\u0308"}], "a subject_id that is not in Unicode's form NFC"),
        (
            [{"record_id": "a\x1b[2J"}],
            "a record_id with U+001B, which is invisible, a blank like others, or no character is in the raw data",
        ),
        ([{"label": " 7"}], "a label with a NUL, a line break or blanks around it"),
    ],
)
def test_ids_that_are_none(
    workshop: Workshop, digits: pa.Table, changes: list[dict[str, object]], sentence: str
) -> None:
    write_raw(workshop, digits, changes)
    assert sentence in workshop.refusal("preprocess")


def test_ids_with_slashes_and_quotes_are_fine(workshop: Workshop, digits: pa.Table) -> None:
    odd = ["../../etc/passwd", "a/b/c", "C:\\x", "it's", '"', "%", "-rf", "患者 7", "<b>", "=1+1"]
    write_raw(workshop, digits, [{"record_id": name, "subject_id": f"subject {name}"} for name in odd])
    workshop.run("preprocess")
    assert set(odd) <= {row["record_id"] for row in workshop.manifest()}


def test_a_class_that_is_missing_from_train_and_a_split_that_is_empty(workshop: Workshop, tmp_path: Path) -> None:
    everything = put(tmp_path / "photos", photographs())
    configure(workshop, everything, "data.fraction=0.05")
    workshop.run("listing")
    workshop.run("fetch")
    assert "data.fraction" in workshop.refusal("preprocess")
    one = {f"bird/{number}.jpg": photograph(9, number) for number in range(1)}
    # the only one of its class is in another split under one of these names
    sentences = []
    for salt in range(12):
        configure(workshop, put(everything, one), f"data.split.salt=salt-{salt}")
        workshop.run("listing")
        workshop.run("fetch")
        said = workshop.run("preprocess", code=None)
        assert "Traceback" not in said
        sentences.append(said)
        if "no record of class bird is in train" in said:
            return
        assert "warning: no record of class bird is in " in said  # val, test, or both
        assert "UserWarning" not in said
    pytest.fail("\n".join(sentences))


def test_two_pipelines_at_once(workshop: Workshop) -> None:
    workshop.compose()
    for _ in range(5):  # until one of them comes while the other works
        both = [workshop.project.start("dvc", "repro", "--force", "fetch") for _ in range(2)]
        said = [process.communicate()[0] for process in both]
        assert not any("Traceback" in output for output in said), said
        refused = [output for process, output in zip(both, said, strict=True) if process.returncode]
        if refused:
            break
    (sentence,) = refused
    assert "another DVC process is running" in sentence or "is busy" in sentence, sentence
    assert len(workshop.records()) == 1797
