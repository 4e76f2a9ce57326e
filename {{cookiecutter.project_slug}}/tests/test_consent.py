from __future__ import annotations

import re
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from project.data.consent import COLUMNS, active, read_snapshot, write_snapshot
from project.data.dataset import MANIFEST, ROOT_KEY, read_description, read_split
from project.data.ids import composed, fault_of_id
from project.data.images import encode
from project.data.merkle import Tree
from project.data.preparation import SPLITS
from project.data.raw import RAW_SCHEMA, RECORDS
from project.errors import ConsentError, DataError
from project.lineage.consent import require_consent
from project.lineage.reproduction import Reproduction
from project.pipeline.dvcfile import Pipeline, parse_pipeline
from project.pipeline.yaml12 import parse_yaml
from project.settings import Settings
from project.stages.preprocess import work

# ids of subjects that differ by little: in case, by a space, by a joiner
ALIKE = ["é{}", "\u0936\u094d\u200d\u0930{}", "É{}", "é {}", "é  {}", 'é{}"', "é{},", "é{},active", "é/{}"]
NAMES = [name.format(number) for number in range(8) for name in ALIKE]
ids = st.text("aA ä\u0308é,;\"'\r\n\t\0\u2028\ufeff=1", max_size=5) | st.text(max_size=5)
seen = st.text("aA äe\u0301\u200d,;\"'=1", max_size=5) | st.text(
    st.characters(exclude_categories=["C", "Z"]), max_size=5
)
# of records: others are refused
possible_ids = seen.map(composed).filter(lambda value: fault_of_id(value, "subject_id") is None)
others = st.sampled_from(["revoked", "Active", "active ", "inactive", ""])
statuses = st.just("active") | others
UNLISTED = None
HEADER = ",".join(COLUMNS) + "\n"


def written(pairs: list[tuple[str, str]]) -> bytes:
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "consent.csv"
        write_snapshot(path, pairs)
        return path.read_bytes()


def read(data: bytes) -> dict[str, str]:
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "consent.csv"
        path.write_bytes(data)
        return read_snapshot(path)


registries = st.dictionaries(ids, statuses, min_size=1, max_size=20)


@given(registries)
def test_a_snapshot_comes_back_as_it_was_written(registry: dict[str, str]) -> None:
    assert read(written(list(registry.items()))) == registry


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
@pytest.mark.parametrize("subject", ["{}", "PAT-1{}PAT-2", "{}PAT-1", "PAT-1{}", 'PAT"{}"', "PAT-1,active{}PAT-2"])
def test_no_end_of_line_in_an_id_makes_another_subject(subject: str, end: str) -> None:
    registry = {subject.format(end): "active", "PAT-7": "revoked"}
    assert read(written(list(registry.items()))) == registry


@given(registries)
def test_subjects_are_sorted(registry: dict[str, str]) -> None:
    assert list(read(written(list(registry.items())))) == sorted(registry)


@given(registries, st.data())
def test_the_order_of_the_registry_does_not_change_a_byte(registry: dict[str, str], data: st.DataObject) -> None:
    pairs = list(registry.items())
    assert written(data.draw(st.permutations(pairs))) == written(pairs)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\n",
        b"\0",
        HEADER.encode(),
        b"PAT-1,active\n",
        b"subject_id,status\nPAT-1,active\n",
        b"consent_status,subject_id\nPAT-1,active\n",
        b"subject_id\nPAT-1\n",
        b"\n" + HEADER.encode() + b"PAT-1,active\n",
        f"\ufeff{HEADER}PAT-1,active\n".encode(),
        f"{HEADER}PAT-1,active\n".encode("utf-16"),
        HEADER.encode() + "Müller,active\n".encode("latin-1"),
        HEADER.encode() + b"PAT-1,active,yes\n",
        HEADER.encode() + b"PAT-1,active\nPAT-2\n",
        HEADER.encode() + b"PAT-1,active\n\nPAT-2,active\n",
        HEADER.encode() + b'PAT-1,active\n"PAT-2,active\n',
        HEADER.encode() + b'PAT-1,active\n"PAT-2"x,active\n',
        HEADER.encode() + b"PAT-1,active\nPAT-1,active\n",
        HEADER.encode() + b"PAT-1,revoked\nPAT-2,active\nPAT-1,active\n",
    ],
)
def test_a_damaged_snapshot_is_refused_and_no_empty_one(damaged: bytes) -> None:
    with pytest.raises(DataError, match="no snapshot of the consent registry"):
        read(damaged)


@given(st.dictionaries(ids, st.sampled_from(["active", "revoked"]), min_size=1, max_size=20), st.data())
def test_a_snapshot_cut_short_lets_nobody_else_pass(registry: dict[str, str], data: st.DataObject) -> None:
    whole = written(list(registry.items()))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        assert active(read(cut)) <= active(registry)
    except DataError:
        event("refused")


@given(registries)
def test_only_who_is_active_to_the_letter_may_be_used(registry: dict[str, str]) -> None:
    assert active(registry) == {subject for subject in registry if registry[subject] == "active"}


@st.composite
def consents(draw: st.DrawFn) -> dict[str, str | None]:
    """35 subjects of a data set or more with their status in the registry, half of them active or more."""
    some = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=35, max_size=50))
    subjects = sorted({*some, *draw(st.lists(possible_ids, max_size=3))})
    rest = draw(st.lists(st.sampled_from(subjects), unique=True, max_size=len(subjects) // 2))
    return dict.fromkeys(subjects, "active") | {subject: draw(others | st.just(UNLISTED)) for subject in rest}


def raw_table(owners: list[str]) -> pa.Table:
    """Records of these subjects, in two classes, each with an image of its own."""
    records = [
        {
            "record_id": f"SCAN-{number}",
            "subject_id": owner,
            "label": "yes" if number % 2 else "no",
            "image": encode(np.full((1, 4, 4), number, dtype=np.uint8)),
        }
        for number, owner in enumerate(owners)
    ]
    return pa.Table.from_pylist(records, schema=RAW_SCHEMA)


@st.composite
def raw_tables(draw: st.DrawFn, subjects: list[str]) -> pa.Table:
    """One record or more of every subject, in any order."""
    owners = draw(st.permutations(subjects + draw(st.lists(st.sampled_from(subjects), max_size=20))))
    return raw_table(owners)


def pixels(table: pa.Table) -> dict[bytes, str]:
    return dict(zip(table["image"].to_pylist(), table["subject_id"].to_pylist(), strict=True))


def preprocess(asking: Settings, table: pa.Table, registry: dict[str, str], kept: Path) -> Path:
    """Runs the stage in a folder of its own, with shards kept of earlier executions in `kept`."""
    folder = kept.parent / f"version-{len(list(kept.parent.iterdir()))}"
    raw, snapshot, processed = folder / "raw", folder / "consent.csv", folder / "processed"
    raw.mkdir(parents=True)
    pq.write_table(table, raw / RECORDS)
    write_snapshot(snapshot, registry.items())
    inputs, outputs = {"data/raw": raw, "data/consent.csv": snapshot}, {"data/processed": processed}
    report = SimpleNamespace(cache=kept, metrics=dict)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a class that is missing from val or test
        try:
            work(asking, cast(Any, inputs), cast(Any, outputs), cast(Any, report))
        except DataError as error:
            assert re.search("the split '.*' is empty|is in train", str(error))
            assert not processed.exists()
            event("refused")
            assume(False)
    return processed


@pytest.fixture(scope="module")
def asking(root: Path) -> Settings:
    """Settings that ask a consent registry, with shards of few subjects."""
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    privacy = yaml.safe_load((root / "conf" / "privacy" / "registry.yaml").read_text(encoding="utf-8"))
    params["privacy"] = privacy | {"salt": "project-1"}
    fixed = {
        "fraction": 0.9,
        "split": {"train": 0.5, "val": 0.25, "test": 0.25, "salt": "split-1"},
        "image": {"size": 4, "channels": 1, "background": "white", "further_pages": "refuse"},
        "shards": {"subjects": 3, "salt": "shards-1"},
    }
    params["data"] |= fixed
    return Settings.model_validate(params)


def assert_nobody_else_is_in(processed: Path, table: pa.Table, allowed: set[str]) -> None:
    files = [path for path in processed.rglob("*") if path.suffix == ".parquet"]
    assert len(files) > 1
    owner = pixels(table)
    for path in files:
        content = pq.read_table(path)
        assert set(content["subject_id"].to_pylist()) <= allowed
        if "image" in content.schema.names:
            assert {owner[image] for image in content["image"].to_pylist()} <= allowed
    listed = set(pq.read_table(processed / MANIFEST)["subject_id"].to_pylist())
    assert pq.read_schema(processed / MANIFEST).metadata[ROOT_KEY].decode() == Tree("project-1", listed).root
    assert sum(read_description(processed).subjects.values()) == len(listed)
    assert {owner[image] for split in SPLITS for image in read_split(processed, split)[0]} == listed


@settings(max_examples=30)
@given(consent=consents(), strangers=registries, data=st.data())
def test_no_manifest_and_no_shard_ever_holds_a_subject_that_is_not_active(
    asking: Settings, consent: dict[str, str | None], strangers: dict[str, str], data: st.DataObject
) -> None:
    table = data.draw(raw_tables(list(consent)))
    everyone = dict.fromkeys(consent, "active")
    elsewhere = {subject: status for subject, status in strangers.items() if subject not in consent}
    registry = {subject: status for subject, status in consent.items() if status is not UNLISTED} | elsewhere
    allowed = {subject for subject, status in consent.items() if status == "active"}
    with TemporaryDirectory() as scratch:
        kept = Path(scratch) / "kept"
        preprocess(asking, table, everyone, kept)  # keeps shards that hold every subject
        processed = preprocess(asking, table, registry, kept)
        assert_nobody_else_is_in(processed, table, allowed)
        ended = data.draw(st.sampled_from(sorted(allowed)))
        processed = preprocess(asking, table, registry | {ended: "revoked"}, kept)
        assert_nobody_else_is_in(processed, table, allowed - {ended})


def test_who_comes_back_to_the_registry_is_used_again(asking: Settings, tmp_path: Path) -> None:
    everyone = {f"PAT-{number:02d}": "active" for number in range(60)}
    fewer = everyone | {f"PAT-{number:02d}": "revoked" for number in range(7)}
    table = raw_table(list(everyone))
    versions = [preprocess(asking, table, registry, tmp_path / "kept") for registry in (everyone, fewer, everyone)]
    first, between, last = ({path.name: path.read_bytes() for path in version.rglob("*.*")} for version in versions)
    assert first == last
    assert between != first


def at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: dict[str, str]) -> None:
    """Makes `registry` what the registry says at this moment."""
    write_snapshot(tmp_path / "now.csv", registry.items())
    Reproduction(tmp_path / "now.csv").mark(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pipeline(root: Path, asking: Settings) -> Pipeline:
    return parse_pipeline(parse_yaml((root / "dvc.yaml").read_text(encoding="utf-8")), asking.model_dump())


@pytest.fixture
def snapshot(asking: Settings, tmp_path: Path) -> Path:
    path = tmp_path / asking.privacy.snapshot
    path.parent.mkdir()
    write_snapshot(path, {"PAT-1": "active", "PAT-2": "revoked", "PAT-3": "active"}.items())
    return path


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize("status", ["revoked", "Active", UNLISTED])
@pytest.mark.parametrize("stage", ["preprocess", "train", "evaluate", "register"])
def test_a_stage_stops_where_consent_has_ended_since_the_snapshot(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pipeline: Pipeline,
    asking: Settings,
    stage: str,
    status: str | None,
) -> None:
    at_hand(tmp_path, monkeypatch, {"PAT-3": "active"} | ({"PAT-1": status} if status else {}))
    with pytest.raises(ConsentError, match=r"of 1 subjects in .* is not active any more"):
        require_consent(tmp_path, pipeline, pipeline.stage(stage), asking)


@pytest.mark.parametrize("stage", ["config", "fetch", "consent"])
def test_stages_before_the_snapshot_ask_nobody(
    tmp_path: Path, pipeline: Pipeline, asking: Settings, stage: str
) -> None:
    require_consent(tmp_path, pipeline, pipeline.stage(stage), asking)


@pytest.mark.usefixtures("snapshot")
def test_a_stage_goes_on_where_all_of_the_snapshot_are_active_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline, asking: Settings
) -> None:
    at_hand(tmp_path, monkeypatch, dict.fromkeys(["PAT-1", "PAT-2", "PAT-3", "PAT-4"], "active"))
    require_consent(tmp_path, pipeline, pipeline.stage("train"), asking)


def test_a_stage_stops_where_the_snapshot_is_missing(tmp_path: Path, pipeline: Pipeline, asking: Settings) -> None:
    with pytest.raises(ConsentError, match="is missing"):
        require_consent(tmp_path, pipeline, pipeline.stage("train"), asking)


def test_a_stage_stops_where_the_snapshot_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline, asking: Settings, snapshot: Path
) -> None:
    at_hand(tmp_path, monkeypatch, {"PAT-1": "active", "PAT-3": "active"})
    snapshot.write_bytes(b"")
    with pytest.raises(DataError, match="no snapshot"):
        require_consent(tmp_path, pipeline, pipeline.stage("train"), asking)
