from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from scans.settings import Settings

from lineage.base.errors import SettingsError
from lineage.settings import flatten, load_settings, select


def put(params: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    select(params, ".".join(parents))[last] = value if parents else params.update({last: value})


def load(folder: Path, params: dict[str, Any]) -> Settings:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    settings = load_settings(path)
    assert isinstance(settings, Settings)
    return settings


def complaint(folder: Path, params: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, params)
    return str(caught.value)


def test_values_arrive_as_they_were_written(tmp_path: Path, params: dict[str, Any]) -> None:
    put(params, "data.fraction", 0.25)
    put(params, "train.seed", 7)
    settings = load(tmp_path, params)
    assert settings.data.fraction == 0.25
    assert settings.train.seed == 7


@pytest.mark.parametrize("key", ["train.epoch", "data.split.valid"])
def test_an_unknown_key_is_refused_by_its_name(tmp_path: Path, params: dict[str, Any], key: str) -> None:
    put(params, key, 3)
    assert f"{key} is not a setting" in complaint(tmp_path, params)


def test_an_unknown_section_is_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    assert "trian is not a setting" in complaint(tmp_path, {**params, "trian": {"epochs": 3}})


@pytest.mark.parametrize("key", ["data", "train.seed", "tracking.uri"])
def test_a_missing_setting_is_named(tmp_path: Path, params: dict[str, Any], key: str) -> None:
    parent, _, last = key.rpartition(".")
    del (select(params, parent) if parent else params)[last]
    assert f"{key}: field required" in complaint(tmp_path, params)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.fraction", 0),
        ("data.fraction", 1.5),
        ("data.fraction", -0.1),
        ("data.fraction", "abc"),
        ("data.fraction", float("nan")),
        ("data.image.channels", 2),
        ("data.image.size", 0),
        ("data.shards.subjects", 0),
        ("tracking.model_name", "a/b"),
        ("tracking.model_name", "it's"),
        ("tracking.model_name", "v2.1"),
        ("tracking.experiment", ""),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key_and_itself(
    tmp_path: Path, params: dict[str, Any], key: str, value: object
) -> None:
    put(params, key, value)
    message = complaint(tmp_path, params)
    assert f"{key}: " in message
    assert f"(is {value!r})" in message


def test_a_project_without_an_id_of_its_own_is_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    message = complaint(tmp_path, {**params, "project_id": "not-yet-" + "made"})
    assert "project_id: the template was baked without its hooks" in message


def test_every_fault_is_told_at_once(tmp_path: Path, params: dict[str, Any]) -> None:
    put(params, "data.fraction", 2)
    put(params, "train.epoch", 3)
    message = complaint(tmp_path, params)
    assert "data.fraction" in message
    assert "train.epoch" in message


def test_shares_that_do_not_add_up_are_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    params["data"]["split"].update(train=0.8, val=0.1, test=0.2)
    assert "must add up to 1, not 1.1" in complaint(tmp_path, params)


def test_a_value_that_must_be_set_is_named_with_the_way_to_set_it(tmp_path: Path, params: dict[str, Any]) -> None:
    put(params, "data.source.name", "???")
    message = complaint(tmp_path, params)
    assert "data.source.name must be set" in message
    assert "`data.source.name=...`" in message


@pytest.mark.parametrize("scheme", ["https", "postgresql", "mysql+pymysql"])
@pytest.mark.parametrize("user", ["ann:hunter2", ":hunter2", "hunter2"])
def test_credentials_are_refused_and_not_repeated(
    tmp_path: Path, params: dict[str, Any], scheme: str, user: str
) -> None:
    put(params, "tracking.uri", f"{scheme}://{user}@tracking.example.org/db")
    message = complaint(tmp_path, params)
    assert "tracking.uri" in message
    assert "MLFLOW_TRACKING_PASSWORD" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "address", ["https://ann:hun/ter2@host", "https://ann:hun#ter2@host", "https://host/?password=ter2"]
)
def test_credentials_are_found_wherever_they_stand(tmp_path: Path, params: dict[str, Any], address: str) -> None:
    put(params, "tracking.uri", address)
    assert "ter2" not in complaint(tmp_path, params)


def test_a_password_is_not_repeated_where_the_address_cannot_be_read(tmp_path: Path, params: dict[str, Any]) -> None:
    put(params, "tracking.uri", "https://ann:hunter2@[tracking.example.org")  # pragma: allowlist secret
    message = complaint(tmp_path, params)
    assert "tracking.uri" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "uri",
    ["sqlite:///mlflow.db", "https://tracking.example.org:5000", "arn:aws:sagemaker:eu-west-1:123456789012:app/a@b"],
)
def test_a_store_without_credentials_is_accepted(tmp_path: Path, params: dict[str, Any], uri: str) -> None:
    put(params, "tracking.uri", uri)
    assert load(tmp_path, params).tracking.uri == uri


@pytest.mark.parametrize("uri", ["file:///srv/mlruns", "mlruns", "../mlruns", "http://host:99999", "http://host:port"])
def test_a_store_that_cannot_be_one_is_refused(tmp_path: Path, params: dict[str, Any], uri: str) -> None:
    put(params, "tracking.uri", uri)
    assert "tracking.uri: " in complaint(tmp_path, params)


REGISTRY = {
    "name": "registry",
    "snapshot": {"enabled": ["registry"], "path": "data/consent.csv"},
    "salt": "project-1",
    "registry": {"path": "consent.csv", "variable": None, "query": None},
}
ABSENT: dict[str, Any] = {"enabled": [], "path": ".checks/absent"}
NONE: dict[str, Any] = {"name": "none", "snapshot": ABSENT, "salt": "project-1", "registry": None}


@pytest.mark.parametrize("privacy", [NONE, REGISTRY])
def test_privacy_is_accepted_whole(tmp_path: Path, params: dict[str, Any], privacy: dict[str, Any]) -> None:
    settings = load(tmp_path, {**params, "privacy": privacy})
    assert settings.privacy.model_dump() == privacy


@pytest.mark.parametrize("whole", [NONE, REGISTRY])
@pytest.mark.parametrize(
    ("switched", "said"),
    {
        ("name",): "name and registry belong together",
        ("registry",): "name and registry belong together",
        ("name", "snapshot"): "name and registry belong together",
        ("snapshot",): "snapshot follows from other settings",
        ("name", "registry"): "snapshot follows from other settings",
    }.items(),
)
def test_privacy_that_is_half_switched_off_is_refused(
    tmp_path: Path, params: dict[str, Any], whole: dict[str, Any], switched: tuple[str, ...], said: str
) -> None:
    other = REGISTRY if whole is NONE else NONE
    params["privacy"] = whole | {key: other[key] for key in switched}
    assert f"privacy: {said}" in complaint(tmp_path, params)


def test_what_stands_for_no_snapshot_is_not_chosen(tmp_path: Path, params: dict[str, Any]) -> None:
    params["privacy"] = NONE | {"snapshot": {"enabled": [], "path": "data/mine.csv"}}
    assert "privacy: snapshot follows from other settings" in complaint(tmp_path, params)


@pytest.mark.parametrize("key", ["name", "snapshot", "snapshot.path", "salt", "registry", "registry.query"])
def test_no_part_of_privacy_may_be_missing(tmp_path: Path, params: dict[str, Any], key: str) -> None:
    params["privacy"] = copy.deepcopy(REGISTRY)
    parent, _, last = f"privacy.{key}".rpartition(".")
    del select(params, parent)[last]
    assert f"privacy.{key}: field required" in complaint(tmp_path, params)


def asking(params: dict[str, Any], **place: str | None) -> dict[str, Any]:
    registry = {"path": None, "variable": None, "query": None} | place
    return {**params, "privacy": REGISTRY | {"registry": registry}}


@pytest.mark.parametrize(
    "place",
    [
        {"path": "consent.csv"},
        {"path": "../elsewhere/consent.parquet"},
        {"path": "s3://bucket/consent.csv"},
        {"variable": "CONSENT_REGISTRY"},
        {"variable": "_consent2", "query": "SELECT * FROM consent"},
    ],
)
def test_a_registry_is_in_one_place(tmp_path: Path, params: dict[str, Any], place: dict[str, str]) -> None:
    registry = load(tmp_path, asking(params, **place)).privacy.registry
    assert registry is not None
    assert registry.model_dump(exclude_none=True) == place


@pytest.mark.parametrize("place", [{}, {"path": "consent.csv", "variable": "CONSENT"}, {"query": "SELECT 1"}])
def test_a_registry_in_no_place_or_in_two_is_refused(
    tmp_path: Path, params: dict[str, Any], place: dict[str, str]
) -> None:
    message = complaint(tmp_path, asking(params, **place))
    assert "privacy.registry: either path or variable must be set" in message


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "mysql", "sqlite", "https", "file"])
def test_an_address_as_a_path_is_refused_and_not_repeated(tmp_path: Path, params: dict[str, Any], scheme: str) -> None:
    wrong = asking(params, path=f"{scheme}://ann:hunter2@host/consent")  # pragma: allowlist secret
    message = complaint(tmp_path, wrong)
    assert "privacy.registry: path is a file or an s3:// address" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "path",
    [
        "s3://AKIAXX:hunter2@bucket/c.csv",  # pragma: allowlist secret
        "s3://hunter2@bucket/c.csv",
        "s3://bucket/c.csv?token=hunter2",
        "s3:///hunter2",
    ],
)
def test_an_address_of_a_registry_holds_no_secret_and_is_not_repeated(
    tmp_path: Path, params: dict[str, Any], path: str
) -> None:
    message = complaint(tmp_path, asking(params, path=path))
    assert "an s3:// address without user, key or token" in message
    assert "hunter2" not in message


GIT_URL = "compute.sagemaker.git.url"


@pytest.mark.parametrize(
    "url",
    [
        "https://host/a/b.git",
        "git@host:a/b.git",
        "ssh://git@host:22/a.git",
        "ssh://host/a.git",
        "../b.git",
        "C:\\b",
        None,
    ],
)
def test_a_repository_without_credentials_is_accepted(tmp_path: Path, params: dict[str, Any], url: str | None) -> None:
    put(params, GIT_URL, url)
    assert load(tmp_path, params).compute.backends["sagemaker"]["git"]["url"] == url


@pytest.mark.parametrize(
    "url",
    [
        "https://host/b.git?private_token=hunter2",
        "https://host/b.git#hunter2",
        "https://me:hunter2@host/b.git",  # pragma: allowlist secret
        "https://hunter2@host/b.git",
        "ssh://me:hunter2@host/b.git",  # pragma: allowlist secret
        "git@host:b.git?token=hunter2",
        "git@host:b@hunter2",
        "me:hunter2@host:b.git",
    ],
)
def test_a_repository_with_credentials_is_refused_and_not_repeated(
    tmp_path: Path, params: dict[str, Any], url: str
) -> None:
    put(params, GIT_URL, url)
    message = complaint(tmp_path, params)
    assert f"{GIT_URL}: must hold no user, password or token" in message
    assert "hunter2" not in message


def test_a_query_without_a_variable_is_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    message = complaint(tmp_path, asking(params, path="consent.csv", query="SELECT * FROM consent"))
    assert "privacy.registry: query needs variable" in message


@pytest.mark.parametrize("name", ["", "CONSENT REGISTRY", "2CONSENT", "$CONSENT", "CONSENT=x", "CONSENT\n"])
def test_a_name_that_no_variable_has_is_refused(tmp_path: Path, params: dict[str, Any], name: str) -> None:
    assert "privacy.registry.variable: " in complaint(tmp_path, asking(params, variable=name))


def test_an_address_in_the_place_of_its_variable_is_refused_and_not_repeated(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    wrong = asking(params, variable="postgresql://ann:hunter2@host/consent")  # pragma: allowlist secret
    message = complaint(tmp_path, wrong)
    assert "privacy.registry.variable: " in message
    assert "hunter2" not in message


def test_a_missing_file_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"params\.yaml is missing.*lineage compose"):
        load_settings(tmp_path / "params.yaml")


@pytest.mark.parametrize(("text", "why"), [("a: [1", "not valid YAML"), ("", "no settings"), ("- 1", "no settings")])
def test_a_file_without_settings_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=why) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes("a: 1\nb: Müller\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"params\.yaml is not valid YAML: line 2 is not UTF-8"):
        load_settings(path)


def test_a_stage_sees_what_it_declares(tmp_path: Path, params: dict[str, Any]) -> None:
    settings = load(tmp_path, params)
    declared = settings.declared(("data.fraction", "data.split", "train"))
    assert declared.data.fraction == settings.data.fraction
    assert declared.data.split == settings.data.split
    assert declared.train == settings.train


@pytest.mark.parametrize("keys", [(), ("train",), ("data.fraction",), ("data.split.train",)])
def test_a_stage_does_not_see_what_it_does_not_declare(
    tmp_path: Path, params: dict[str, Any], keys: tuple[str, ...]
) -> None:
    declared = load(tmp_path, params).declared(keys)
    for hidden in ("evaluate.device", "tracking.uri", "data.image.size", "data.split.salt"):
        with pytest.raises(AttributeError):
            value: Any = declared
            for part in hidden.split("."):
                value = getattr(value, part)


def test_a_section_and_a_key_within_it_declare_the_section(tmp_path: Path, params: dict[str, Any]) -> None:
    settings = load(tmp_path, params)
    assert settings.declared(("data.fraction", "data")).data == settings.data


def test_settings_cannot_be_changed(tmp_path: Path, params: dict[str, Any]) -> None:
    settings = load(tmp_path, params)
    with pytest.raises(ValueError, match="frozen"):
        settings.train.epochs = 3


def test_nested_settings_flatten_to_dotted_keys() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [1, 2], "e": {}}
