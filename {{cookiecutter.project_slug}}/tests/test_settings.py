"""All of params.yaml: that it is valid, what it refuses, and that conf/ composes into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lineage.base.errors import SettingsError
from lineage.settings import Settings, load_settings, select


def put(params: dict[str, Any], key: str, value: object) -> None:
    section, _, last = key.rpartition(".")
    select(params, section)[last] = value


def load(folder: Path, params: dict[str, Any]) -> Any:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return load_settings(path)


def complaint(folder: Path, params: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, params)
    return str(caught.value)


def test_the_settings_of_the_project_are_valid(root: Path) -> None:
    assert isinstance(load_settings(root / "params.yaml"), Settings)


@pytest.mark.parametrize("key", ["train.epoch", "model.layers"])
def test_an_unknown_key_is_refused_by_its_name(tmp_path: Path, params: dict[str, Any], key: str) -> None:
    put(params, key, 3)
    assert f"{key} is not a setting" in complaint(tmp_path, params)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.epochs", 0),
        ("train.epochs", 1.5),
        ("train.epochs", True),
        ("train.batch_size", 1),
        ("train.lr", float("inf")),
        ("train.seed", 2**32),
        ("train.lr", 0),
        ("train.max_shift", 0.5),
        ("train.seed", -1),
        ("train.device", "abacus"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key_and_itself(
    tmp_path: Path, params: dict[str, Any], key: str, value: object
) -> None:
    put(params, key, value)
    message = complaint(tmp_path, params)
    assert f"{key}: " in message
    assert f"(is {value!r})" in message


FOLDER = {"name": "image_folder", "path": "photos", "table": None, "subject": None, "splits": "refuse"}


def folder(params: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The parameters with a folder as the source."""
    listing = {"enabled": ["folder"], "path": "data/listing.json"}
    params["data"].update(listing=listing, source=FOLDER | changes)
    return params


@pytest.mark.parametrize("path", ["photos", "../my photos", "/data", "~/x", "s3://bucket", "s3://bucket/a/b", "C:\\x"])
def test_places_of_a_folder(tmp_path: Path, params: dict[str, Any], path: str) -> None:
    assert load(tmp_path, folder(params, path=path)).data.source.model_dump()["path"] == path


@pytest.mark.parametrize(
    "path", ["", "https://host/x", "s3://", "s3://me:secret@bucket/x", "s3://bucket/x?token=secret"]
)
def test_places_that_are_none(tmp_path: Path, params: dict[str, Any], path: str) -> None:
    message = complaint(tmp_path, folder(params, path=path))
    assert "data.source.path: " in message
    assert "secret" not in message


def test_a_fault_of_a_source_is_named_without_the_kind_of_source(tmp_path: Path, params: dict[str, Any]) -> None:
    assert "data.source.table: " in complaint(tmp_path, folder(params, table="x.xlsx"))
    assert "data.source.extra is not a setting" in complaint(tmp_path, folder(params, extra=1))
    del folder(params)["data"]["source"]["path"]
    assert "data.source.path: field required" in complaint(tmp_path, params)


def test_a_table_names_the_subjects_alone(tmp_path: Path, params: dict[str, Any]) -> None:
    message = complaint(tmp_path, folder(params, table="x.csv", subject="(a)"))
    assert "data.source: subject must be null where table is set" in message


@pytest.mark.parametrize(
    ("enabled", "path"), [([], "data/listing.json"), (["folder"], "photos"), ([], ".checks/absent"), ([], "other")]
)
def test_a_folder_is_looked_at_or_versioned(
    tmp_path: Path, params: dict[str, Any], enabled: list[str], path: str
) -> None:
    folder(params)["data"]["listing"] = {"enabled": enabled, "path": path}
    assert "data: listing follows from other settings" in complaint(tmp_path, params)


def test_splits_that_are_kept_cannot_be_moved_for_duplicates(tmp_path: Path, params: dict[str, Any]) -> None:
    folder(params, splits="keep")["data"]["duplicates"] = "together"
    assert "data: duplicates: together moves records" in complaint(tmp_path, params)
    folder(params, splits="pool")
    assert load(tmp_path, params).data.duplicates == "together"


def test_a_versioned_folder(tmp_path: Path, params: dict[str, Any]) -> None:
    folder(params, path="data/source")["data"]["listing"] = {"enabled": [], "path": "data/source"}
    assert load(tmp_path, params).data.is_versioned


def mobilenet(params: dict[str, Any], *, pretrained: bool = True, size: int = 32) -> dict[str, Any]:
    """Settings as conf/model/mobilenet_v3_small.yaml gives them."""
    put(params, "data.image.size", size)
    path = "models/pretrained.pth" if pretrained else ".checks/absent"
    weights = {"file": {"enabled": ["imagenet"] * pretrained, "path": path}, "url": "https://host/weights.pth"}
    model = {"name": "mobilenet_v3_small", "dropout": 0.2, "pretrained": pretrained}
    return {**params, "model": model, "weights": {**weights, "sha256": "0" * 64}}


@pytest.mark.parametrize("pretrained", [True, False])
def test_another_network_is_chosen_by_its_name(tmp_path: Path, params: dict[str, Any], pretrained: bool) -> None:
    settings = load(tmp_path, mobilenet(params, pretrained=pretrained))
    assert settings.model.model_dump()["pretrained"] is pretrained
    assert bool(settings.weights.file.enabled) is pretrained


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model.name", "resnet", "'small_cnn', 'mobilenet_v3_small'"),
        ("model.dropout", 1, "model.dropout: input should be less than 1 (is 1)"),
        ("model.width", 3, "model.width is not a setting"),
        ("data.image.size", 31, "needs 32 or more (is 31)"),
        ("model.pretrained", False, "weights.file follows from other settings"),
        ("weights.file.enabled", [], "weights.file follows from other settings"),
        ("weights.file.path", ".checks/absent", "weights.file follows from other settings"),
        ("weights.sha256", None, "weights: url and sha256 must be set"),
        ("weights.sha256", "047dcff4", "weights.sha256: "),
        ("weights.url", None, "weights: url and sha256 must be set"),
    ],
)
def test_settings_of_a_network_that_do_not_fit_are_refused(
    tmp_path: Path, params: dict[str, Any], key: str, value: object, said: str
) -> None:
    params = mobilenet(params)
    put(params, key, value)
    assert said in complaint(tmp_path, params)


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:hunter2@host/w.pth",  # pragma: allowlist secret
        "https://host/w.pth?token=hunter2",
        "ftp://hunter2/w.pth",
    ],
)
def test_an_address_of_weights_holds_no_secret_and_is_not_repeated(
    tmp_path: Path, params: dict[str, Any], url: str
) -> None:
    params = mobilenet(params)
    put(params, "weights.url", url)
    message = complaint(tmp_path, params)
    assert "weights.url: is a path or an http(s):// address" in message
    assert "hunter2" not in message


def compose(project: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    # in a process of its own: Hydra takes the plugins of one project a process
    command = [sys.executable, "-m", "lineage.cli", "compose", *overrides]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("switch", "enabled"), [("true", ["imagenet"]), ("false", [])])
def test_a_switch_of_the_model_decides_what_training_starts_from(copy: Path, switch: str, enabled: list[str]) -> None:
    done = compose(copy, "model=mobilenet_v3_small", f"model.pretrained={switch}", "data.image.size=32")
    assert done.returncode == 0, done.stderr
    weights = yaml.safe_load((copy / "params.yaml").read_text(encoding="utf-8"))["weights"]
    path = "models/pretrained.pth" if enabled else ".checks/absent"
    assert weights["file"] == {"enabled": enabled, "path": path}
    assert len(weights["sha256"]) == 64


def test_a_switch_that_is_neither_on_nor_off_is_refused(copy: Path) -> None:
    done = compose(copy, "model=mobilenet_v3_small", "model.pretrained=maybe")
    assert done.returncode == 1
    assert "asks for true or false, not 'maybe'" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in copy.glob(".params*")] == []
