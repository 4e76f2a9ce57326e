from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from lineage.base.errors import ConsentError, DataError
from lineage.base.yaml12 import parse_yaml
from lineage.chain.consent import require_consent
from lineage.chain.reproduction import Reproduction
from lineage.dvc.dvcfile import Pipeline, parse_pipeline
from lineage.records.consent import COLUMNS, active, read_snapshot, write_snapshot
from lineage.settings import Settings
from lineage.settings.params import check_settings

from .conftest import EXAMPLE

ids = st.text("aA ä\u0308é,;\"'\r\n\t\0\u2028\ufeff=1", max_size=5) | st.text(max_size=5)
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


def at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: dict[str, str]) -> None:
    """Makes `registry` what the registry says at this moment."""
    write_snapshot(tmp_path / "now.csv", registry.items())
    Reproduction(tmp_path / "now.csv", {}).mark(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def asking(params: dict[str, Any]) -> Settings:
    """Settings that ask a consent registry."""
    registry = {"path": "consent.csv", "variable": None, "query": None}
    params["privacy"] = {
        "name": "registry",
        "snapshot": {"enabled": ["registry"], "path": "data/consent.csv"},
        "salt": "project-1",
        "registry": registry,
    }
    return check_settings(params, "params.yaml")


@pytest.fixture
def pipeline(asking: Settings) -> Pipeline:
    return parse_pipeline(parse_yaml((EXAMPLE / "dvc.yaml").read_text(encoding="utf-8")), asking.model_dump())


@pytest.fixture
def snapshot(asking: Settings, tmp_path: Path) -> Path:
    path = tmp_path / asking.privacy.snapshot.path
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
