"""The stage `preprocess`: without consent no record comes into a dataset version, whatever was kept of earlier ones."""

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
import torch
import yaml
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from project.model.examples import load_examples
from project.settings import Settings
from project.stages.preprocess import work

from lineage.base.errors import DataError
from lineage.records.consent import write_snapshot
from lineage.records.dataset import read_split
from lineage.records.ids import fault_of_id, normalize_nfc
from lineage.records.images import encode
from lineage.records.layout import MANIFEST, ROOT_KEY, read_description
from lineage.records.merkle import Tree
from lineage.records.preparation import SPLITS
from lineage.records.raw import RAW_SCHEMA, RECORDS
from lineage.records.sharding import in_processes

# ids of subjects that differ by little: in case, by a space, by a joiner
ALIKE = ["é{}", "\u0936\u094d\u200d\u0930{}", "É{}", "é {}", "é  {}", 'é{}"', "é{},", "é{},active", "é/{}"]
NAMES = [name.format(number) for number in range(8) for name in ALIKE]
ids = st.text("aA ä\u0308é,;\"'\r\n\t\0\u2028\ufeff=1", max_size=5) | st.text(max_size=5)
seen = st.text("aA äe\u0301\u200d,;\"'=1", max_size=5) | st.text(
    st.characters(exclude_categories=["C", "Z"]), max_size=5
)
# of records: others are refused
possible_ids = seen.map(normalize_nfc).filter(lambda value: fault_of_id(value, "subject_id") is None)
others = st.sampled_from(["revoked", "Active", "active ", "inactive", ""])
registries = st.dictionaries(ids, st.just("active") | others, min_size=1, max_size=20)
UNLISTED = None


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
    inputs = {"data/raw": raw, "data/consent.csv": snapshot}
    outputs = {"data/processed": processed, "data/profile.json": folder / "profile.json"}
    report = SimpleNamespace(cache_dir=kept, metrics=dict, engine=in_processes)
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
    snapshot = {"enabled": ["registry"], "path": "data/consent.csv"}
    params["privacy"] = privacy | {"salt": "project-1", "snapshot": snapshot}
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
    assert {owner[image] for split in SPLITS for image, _ in read_split(processed, split)} == listed


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


def test_images_in_a_file_are_those_in_memory(asking: Settings, tmp_path: Path) -> None:
    owners = [f"PAT-{number:02d}" for number in range(50)]
    processed = preprocess(asking, raw_table(owners), dict.fromkeys(owners, "active"), tmp_path / "kept")
    description, scratch = read_description(processed), tmp_path / "scratch"
    for split in SPLITS:
        one, other = (
            load_examples(processed, description, split, torch.device("cpu"), memory=memory, scratch=scratch)
            for memory in (10**9, 1)
        )
        assert len(one) == description.records[split] > 0
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
    assert list(scratch.iterdir()) == []  # nothing that a kill could leave behind
