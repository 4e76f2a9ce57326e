"""Whether two profiles differ: neither by chance, nor by a trifle, nor without anybody to tell from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lineage.base.errors import DataError, LineageError
from lineage.dvc.hashes import hash_bytes
from lineage.judgement.drift import (
    DRIFT,
    INCONCLUSIVE,
    LEAST_RECORDS,
    NO_DRIFT,
    _feature,
    _grouped,
    _groups,
    against_file,
    compare,
)
from lineage.judgement.drift_command import drift
from lineage.judgement.profiles import of_data, of_workspace
from lineage.judgement.show_drift import show_drift
from lineage.records.images import encode
from lineage.records.profile import Measurer, Profile, profile_from
from lineage.records.raw import RAW_SCHEMA

HOW = {"size": 16, "channels": 1, "background": "white", "further_pages": "refuse"}


def picture(seed: int, shift: float = 0.0) -> Any:
    """Noise around a grey that is another in each, brightened by `shift`."""
    random = np.random.default_rng(seed)
    grey = random.integers(60, 140) + shift
    return random.normal(grey, 15, (16, 16, 1)).clip(0, 255).astype(np.uint8)


def profile(
    count: int, seed: int = 0, shift: float = 0.0, share: float = 0.5, scanners: str = "AB", **how: Any
) -> Profile:
    random, measurer = np.random.default_rng(seed), Measurer()
    for number in range(count):
        measurer.add("train", (64, 48), picture(seed * 100_000 + number, shift))
    labels = ["cat" if random.random() < share else "dog" for _ in range(count)]
    table = pa.table(
        {
            "split": ["train"] * count,
            "subject_id": [f"PAT-{number}" for number in range(count)],
            "label": labels,
            "scanner": [scanners[number % len(scanners)] for number in range(count)],
        }
    )
    return profile_from(table, measurer.sums, {**HOW, **how}, ["scanner"])


@pytest.fixture(scope="module")
def reference() -> Profile:
    return profile(400)


def test_of_many_that_are_alike_few_are_said_to_differ(reference: Profile) -> None:
    verdicts = [compare(reference, profile(150, seed)).verdict for seed in range(1, 41)]
    assert verdicts.count(DRIFT) <= 3  # at a level of 0.05


def test_the_same_data_have_not_drifted(reference: Profile) -> None:
    same = compare(reference, reference)
    assert same.verdict == NO_DRIFT
    assert {each.psi for each in same.features} == {0.0}
    assert str(same) == "no drift in 9 histograms of 400 and 400 records"


def test_brighter_images_are_found_and_nothing_else_is_named(
    reference: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compare(reference, profile(150, 1, shift=40))
    assert found.verdict == DRIFT
    assert {each.name for each in found.drifted} == {"brightness", "grey of pixels"}
    show_drift("X", "Y", found)
    shown = capsys.readouterr().out
    assert "drift in 2 of 9 histograms" in shown
    assert "█" in shown
    json.dumps(found.to_dict())


def test_what_lies_outside_of_the_reference_is_a_group_of_its_own(reference: Profile) -> None:
    (brightness,) = (
        each for each in compare(reference, profile(150, 1, shift=80)).features if each.name == "brightness"
    )
    assert brightness.before[-1] == 0
    assert brightness.after[-1] > 0.3


@pytest.mark.parametrize("sizes", [(53, 2272), (2272, 53), (60, 60)])
@pytest.mark.parametrize("is_above", [True, False])
def test_what_has_nothing_in_common_differs_however_unequal_the_sizes(sizes: tuple[int, int], is_above: bool) -> None:
    random = np.random.default_rng(5)
    for begin in range(1, 31):
        one, other = np.zeros(32), np.zeros(32)
        one[:begin] = random.multinomial(sizes[0], random.dirichlet(np.ones(begin)))
        other[begin:] = random.multinomial(sizes[1], random.dirichlet(np.ones(32 - begin)))
        pair = (one, other) if is_above else (one[::-1], other[::-1])
        ends = _groups(*pair)
        feature = _feature("x", [""] * len(ends), *(_grouped(each, ends) for each in pair))
        assert feature.psi > 1
        assert feature.p < 1e-6


def test_what_lies_in_a_gap_of_the_reference_is_a_group_of_its_own() -> None:
    """Black and white before, black and grey after."""
    one, other = np.zeros(32), np.zeros(32)
    one[[0, 31]] = other[[0, 15]] = 240, 160
    ends = _groups(one, other)
    assert _feature("x", [""] * len(ends), _grouped(one, ends), _grouped(other, ends)).psi > 1


def test_a_new_kind_of_a_small_side_is_not_among_the_rare(reference: Profile) -> None:
    """Nearly half of 100 records are of a site that is new, where the reference has nearly half in many small ones."""
    many = {f"site {number}": 9 for number in range(100)} | {"main": 1100}
    one, other = (with_kinds(reference, kinds, {"cat": 50, "dog": 50}) for kinds in (many, {"new": 45, "main": 55}))
    for document, size in ((one, 2000), (other, 100)):
        document.splits["train"]["records"] = size
    found = compare(one, other)
    (scanner,) = (each for each in found.features if each.name == "scanner")
    assert "new" in scanner.groups
    assert scanner.psi > 1


def test_other_shares_of_classes_and_a_new_scanner_are_found(reference: Profile) -> None:
    found = compare(reference, profile(150, 1, share=0.2, scanners="ABC"))
    named = {each.name: each for each in found.drifted}
    assert named.keys() == {"class", "scanner"}
    assert named["scanner"].new == ["C"]
    assert named["scanner"].gone == []


def test_a_trifle_in_many_records_is_no_drift() -> None:
    one, other = profile(3000), profile(3000, 1, share=0.44)
    (label,) = (each for each in compare(one, other).features if each.name == "class")
    assert label.p < 0.001
    assert compare(one, other).verdict == NO_DRIFT


@pytest.mark.parametrize(("before", "after"), [(0, 200), (LEAST_RECORDS - 1, 200), (200, 3), (200, 0), (0, 0)])
def test_with_few_records_nobody_can_say(before: int, after: int) -> None:
    empty = Profile(1, HOW, {}, {})
    one, other = (profile(count, 1, shift=30 * count) if count else empty for count in (before, after))
    assert compare(one, other).verdict == INCONCLUSIVE
    assert f"less than {LEAST_RECORDS} say nothing" in str(compare(one, other))


def test_pixels_of_other_settings_are_not_compared(reference: Profile) -> None:
    found = compare(reference, profile(100, 1, size=32))
    assert found.verdict == INCONCLUSIVE
    assert "data.image.size is 16 and 32" in str(found)


def test_a_split_can_be_looked_at_alone(reference: Profile) -> None:
    assert compare(reference, reference, ["train"]).verdict == NO_DRIFT
    assert compare(reference, reference, ["val"]).verdict == INCONCLUSIVE


@pytest.mark.parametrize("fault", ["missing", "of some images", "other bins"])
@pytest.mark.parametrize("name", ["brightness", "grey"])
def test_a_histogram_that_cannot_be_compared_is_no_sign_of_likeness(fault: str, name: str, reference: Profile) -> None:
    document = json.loads(reference.to_json())
    histograms = document["splits"]["train"]["histograms"]
    if fault == "missing":
        del histograms[name]
    elif fault == "other bins":
        document["edges"][name][0] += 1
    else:
        histograms[name] = [count // 2 for count in histograms[name]]
    for pair in ((reference, Profile(**document)), (Profile(**document), reference)):
        found = compare(*pair)
        assert found.verdict == INCONCLUSIVE
        assert name in str(found)


def with_kinds(reference: Profile, scanner: dict[str, int], classes: dict[str, int]) -> Profile:
    document = json.loads(reference.to_json())
    document["splits"]["train"] |= {"columns": {"scanner": scanner}, "classes": classes}
    return Profile(**document)


@pytest.mark.parametrize(
    ("scanner", "classes", "said"),
    [
        ({}, {"cat": 200, "dog": 200}, "scanner, which has no value on one side, or more than 50"),
        ({"A": 10}, {"cat": 200, "dog": 200}, "scanner, which only 10 records of the other side have"),
        ({"A": 200, "B": 200}, {"cat": 1, "dog": 2}, "class, which only 3 records of the other side have"),
    ],
)
def test_kinds_that_few_records_have_are_not_compared(
    scanner: dict[str, int], classes: dict[str, int], said: str, reference: Profile
) -> None:
    found = compare(reference, with_kinds(reference, scanner, classes))
    assert said in found.not_compared
    assert len(found.features) == 8
    json.dumps(found.to_dict(), allow_nan=False)


def test_records_without_a_class_are_named(reference: Profile) -> None:
    found = compare(reference, with_kinds(reference, {"A": 200, "B": 200}, {"cat": 150, "dog": 150}))
    assert found.not_compared == ["class of 100 records of the other side, which have none"]
    assert len(found.features) == 9


def test_many_rare_kinds_that_are_all_new_are_not_said_to_be_alike(reference: Profile) -> None:
    one, other = (
        with_kinds(reference, {f"{side}{number}": 8 for number in range(50)}, {"cat": 200, "dog": 200})
        for side in ("A", "B")
    )
    found = compare(one, other)
    assert found.not_compared == ["scanner, most of whose kinds have too few records (50 are new, 50 gone)"]
    assert "scanner" not in {each.name for each in found.features}


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_reference_that_is_no_profile_is_inconclusive(content: bytes, reference: Profile, tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_bytes(content)
    assert against_file(file, reference).verdict == INCONCLUSIVE
    assert "profile.json cannot be read" in str(against_file(file, reference))
    file.write_text(reference.to_json())
    assert against_file(file, reference).verdict == NO_DRIFT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 bright images in folders of two classes, with a table beside them, and what is no image."""
    folder, lines = tmp_path_factory.mktemp("new"), ["path,label,scanner"]
    for number in range(120):
        path = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture(7_000_000 + number, 40)[:, :, 0]).resize((64, 48)).save(path)
        lines.append(f"{path.relative_to(folder).as_posix()},{path.parent.name},B")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_folder_and_a_table_are_profiled_as_preprocess_would(reference: Profile, folder: Path) -> None:
    found = of_data(folder, reference)
    assert found.said == ["files that are no images, left out: 1"]
    assert found.profile.splits["data"]["records"] == 120
    assert found.profile.splits["data"]["classes"] == {"cat": 60, "dog": 60}
    differing = compare(reference, found.profile)
    assert "brightness" in {each.name for each in differing.drifted}
    assert differing.not_compared == ["scanner, which only one side has"]

    assert not found.names_subjects

    table = of_data(folder / "table.csv", reference)
    assert not table.names_subjects
    assert table.profile.splits["data"]["columns"] == {"scanner": {"B": 120}}
    assert table.profile.splits["data"]["histograms"] == found.profile.splits["data"]["histograms"]


def test_raw_records_are_profiled_too(reference: Profile, folder: Path, tmp_path: Path) -> None:
    paths = sorted(folder.rglob("*.png"))
    rows = [
        {"record_id": str(path), "subject_id": str(path), "label": path.parent.name, "image": path.read_bytes()}
        for path in paths
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RAW_SCHEMA), tmp_path / "records.parquet")
    expected = of_data(folder, reference).profile
    for place in (tmp_path, tmp_path / "records.parquet"):
        found = of_data(place, reference)
        assert (found.profile, found.names_subjects) == (expected, True)


@pytest.mark.parametrize(("second", "named"), [("PAT-2", True), ("", False)])
def test_people_are_counted_where_every_row_names_one(
    second: str, *, named: bool, reference: Profile, folder: Path, tmp_path: Path
) -> None:
    image = next(folder.rglob("*.png"))
    (tmp_path / "new.csv").write_text(f"path,subject_id\n{image},PAT-1\n{image},{second}\n")
    assert of_data(tmp_path / "new.csv", reference).names_subjects == named


def test_of_a_folder_only_the_images_are_counted(
    reference: Profile, folder: Path, copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "--quiet", str(copy)], check=True)
    (copy / "profile.json").write_text(reference.to_json(), encoding="utf-8")
    monkeypatch.chdir(copy)
    for as_json in (False, True):
        with pytest.raises(SystemExit) as ended:
            drift("profile.json", data=folder, as_json=as_json)
        assert ended.value.code == 1
    shown, document = capsys.readouterr().out.split("\n{")
    assert "profile.json: 400 records of 400 subjects\n" in shown
    assert f"{folder}: 120 images, of how many subjects is unknown\n" in shown
    assert json.loads(f"{{{document}")["after"] == {"records": 120}


def test_a_profile_of_the_workspace_is_the_one_that_dvc_lock_records(reference: Profile, tmp_path: Path) -> None:
    make = {
        "cmd": "x",
        "outs": ["data", "profile.json"],
        "meta": {"lineage": {"dataset": "data", "profile": "profile.json"}},
    }
    train = {"cmd": "x", "deps": ["data"], "outs": ["model"], "meta": {"lineage": {"model": "model"}}}
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {"make": make, "train": train}}))

    def lock(md5: str) -> None:
        outs = [{"path": "data", "md5": f"{'d' * 32}.dir"}, {"path": "profile.json", "md5": md5}]
        document = {"schema": "2.0", "stages": {"make": {"cmd": "x", "outs": outs}} if md5 else {}}
        (tmp_path / "dvc.lock").write_text(json.dumps(document))

    data, path = reference.to_json().encode(), tmp_path / "profile.json"
    path.write_bytes(data)
    lock(hash_bytes(data, "").md5)
    assert of_workspace(tmp_path) == ("profile.json here", reference)
    path.write_bytes(data.replace(b'"records": ', b'"records": 1'))
    with pytest.raises(
        LineageError, match=r"is not the one that dvc.lock records .* `dvc checkout --force profile.json`"
    ):
        of_workspace(tmp_path)
    lock("")  # killed before DVC wrote it down
    with pytest.raises(LineageError, match=r"dvc.lock records no profile.json"):
        of_workspace(tmp_path)


def test_folders_that_are_no_classes_of_the_reference_are_not_compared(reference: Profile, tmp_path: Path) -> None:
    for number in range(60):
        path = tmp_path / "monday" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(picture(number).transpose(2, 0, 1)))
    found = of_data(tmp_path, reference)
    assert found.profile.splits["data"]["classes"] == {}
    assert "classes, which one side does not have" in compare(reference, found.profile).not_compared


def test_images_that_cannot_be_read_are_named_and_not_counted(reference: Profile, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "torn.png").write_bytes((folder / "cat" / "0.png").read_bytes()[:200])
    (tmp_path / "cat" / "whole.png").write_bytes((folder / "cat" / "0.png").read_bytes())
    found = of_data(tmp_path, reference)
    assert found.unreadable.keys() == {"cat/torn.png"}
    assert found.profile.splits["data"]["records"] == 1


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("new.csv", "label\ncat\n", "no column path"),
        ("new.csv", "path\n", "it has no rows"),
        ("new.csv", "path\nnowhere.png\n", "no file at a path .* in line 2"),
        ("new.txt", "", "is no folder, no .csv and no .parquet file"),
        ("new.parquet", "no Parquet", "cannot be read"),
    ],
)
def test_data_that_cannot_be_profiled(
    name: str, content: str, sentence: str, reference: Profile, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=sentence):
        of_data(tmp_path / name, reference)


def test_an_empty_folder(reference: Profile, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no images"):
        of_data(tmp_path, reference)
