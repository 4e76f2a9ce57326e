"""Typed settings, read from params.yaml. Values live in conf/ only: nothing here has a default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from .data_settings import Data
from .errors import SettingsError
from .pipeline.yaml12 import parse_yaml
from .section import Positive, Section

ADDRESSES = ("uri", "url", "path", "variable")  # settings whose values are not repeated in errors
PRETRAINED = "models/pretrained.pth"  # what train starts from
NO_WEIGHTS = ".checks/params"  # what it depends on otherwise
Device = Literal["auto", "cpu", "cuda", "mps"]


class Registry(Section):
    path: str | None
    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None
    query: str | None

    @model_validator(mode="after")
    def _names_one_place(self) -> Registry:
        if (self.path is None) == (self.variable is None):
            raise ValueError("either path or variable must be set, and the other be null")
        if self.path is not None and "://" in self.path and not self.path.startswith("s3://"):
            raise ValueError("path is a file or an s3:// address; any other address belongs into the variable")
        if self.query is not None and self.variable is None:
            raise ValueError("query needs variable, the name of the variable that holds the database's address")
        return self


class Privacy(Section):
    name: Literal["none", "registry"]
    live: Annotated[list[str], Field(max_length=1)]
    snapshot: str
    salt: str
    registry: Registry | None

    @model_validator(mode="after")
    def _is_whole(self) -> Privacy:
        # half of it switched off would let everyone pass
        if (self.name == "registry") != bool(self.registry) or bool(self.registry) != bool(self.live):
            raise ValueError("name, live and registry belong together: take privacy=none or privacy=registry whole")
        return self


class SmallCnn(Section):
    name: Literal["small_cnn"]
    width: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]


class MobileNetV3Small(Section):
    name: Literal["mobilenet_v3_small"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    pretrained: bool


class Weights(Section):
    live: Annotated[list[str], Field(max_length=1)]
    start: str
    url: str | None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None

    @field_validator("url")
    @classmethod
    def _is_a_public_place(cls, url: str | None) -> str | None:
        if url and "://" in url and (not url.startswith(("http://", "https://")) or "@" in url or "?" in url):
            raise ValueError(
                "is a path or an http(s):// address without user, password and query: params.yaml is kept in Git"
            )
        return url


class Train(Section):
    epochs: Positive
    batch_size: Annotated[int, Field(ge=2, strict=True)]  # batch norm cannot learn from one image
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    max_shift: Annotated[float, Field(ge=0, lt=0.5)]
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)]
    deterministic: bool
    threads: Positive
    device: Device


class Evaluate(Section):
    batch_size: Positive
    threads: Positive
    device: Device


class Tracking(Section):
    uri: str
    experiment: Annotated[str, Field(min_length=1)]
    model_name: Annotated[str, Field(min_length=1, pattern=r"""^[^/:.%'"]+$""")]  # as MLflow wants it

    @field_validator("uri")
    @classmethod
    def _no_credentials(cls, uri: str) -> str:
        after_scheme = uri.partition("://")[2]
        secret = "@" in after_scheme or re.search(
            r"(password|passwd|pwd|token|secret|key)=", after_scheme, re.IGNORECASE
        )
        if uri.startswith("sqlite+"):
            raise ValueError("must begin with sqlite:/// where it is a SQLite file")
        if secret and not uri.startswith("sqlite:"):
            raise ValueError(
                "must not hold a user or password: params.yaml is kept in Git. "
                "MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD from the environment"
            )
        return uri


class Instances(Section):
    instance_type: Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")]
    instance_count: Literal[1]  # the stages share no work between machines
    volume_gb: Positive
    max_minutes: Positive


class TrainingInstances(Instances):
    spot: bool
    max_wait_minutes: Positive
    warm_pool_minutes: Annotated[int, Field(ge=0, le=60)]

    @model_validator(mode="after")
    def _waits_long_enough(self) -> TrainingInstances:
        if self.spot and self.max_wait_minutes < self.max_minutes:
            raise ValueError("max_wait_minutes must not be less than max_minutes: it holds the waiting and the running")
        if self.spot and self.warm_pool_minutes:
            raise ValueError("warm_pool_minutes must be 0 with spot: spot instances cannot be kept")
        return self


class Network(Section):
    subnets: list[str]
    security_groups: list[str]
    encrypt_between_instances: bool


class Keys(Section):
    volume: str | None
    output: str | None


class GitSource(Section):
    url: (
        Annotated[str, Field(pattern=r"^[^@]*$|^[\w.-]+@[\w.-]+:")] | None
    )  # no user and password: Git keeps params.yaml
    revision: str | None
    credential: str | None
    secret: str | None


class SageMaker(Section):
    region: str | None
    role: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")] | None
    bucket: str | None
    prefix: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._/-]+$")]
    image: str | None
    install: Literal["lock", "image"]
    source: Literal["snapshot", "git"]
    git: GitSource
    secret: str | None
    training: TrainingInstances
    processing: Instances
    network: Network
    kms: Keys
    tags: dict[str, str]


Place = Literal["local", "sagemaker"]


class Compute(Section):
    preprocess: Place
    train: Place
    evaluate: Place
    sagemaker: SageMaker


class Settings(Section):
    """All of params.yaml."""

    conf_digest: str
    project_id: str
    data: Data
    privacy: Privacy
    weights: Weights
    model: Annotated[SmallCnn | MobileNetV3Small, Field(discriminator="name")]
    train: Train
    evaluate: Evaluate
    tracking: Tracking
    compute: Compute
    callbacks: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _model_fits(self) -> Settings:
        if isinstance(self.model, MobileNetV3Small) and self.data.image.size < 32:
            raise ValueError(
                f"data.image.size: {self.model.name} halves images five times and needs 32 or more (is "
                f"{self.data.image.size})"
            )
        pretrained = getattr(self.model, "pretrained", False)
        start = PRETRAINED if pretrained else NO_WEIGHTS
        if bool(self.weights.live) != pretrained or self.weights.start != start:
            raise ValueError("weights: live and start follow from model.pretrained and are not set by themselves")
        if pretrained and not (self.weights.url and self.weights.sha256):
            raise ValueError("weights: url and sha256 must be set where model.pretrained is true")
        return self

    def declared(self, keys: tuple[str, ...]) -> Settings:
        """A copy that holds only `keys` (dotted) of the settings, as dvc.yaml lists them for a stage.

        Reading any other raises AttributeError: dvc could not know that the stage depends on it.
        """
        return _only(self, [key.split(".") for key in keys])


S = TypeVar("S", bound=Section)


def _only(section: S, paths: list[list[str]]) -> S:
    kept: dict[str, Any] = {}
    for name in dict.fromkeys(path[0] for path in paths):
        value = getattr(section, name)
        below = [path[1:] for path in paths if path[0] == name]
        kept[name] = _only(value, below) if isinstance(value, Section) and all(below) else value
    return section.model_construct(**kept)


def load_settings(path: Path) -> Settings:
    """Reads and checks params.yaml. Raises SettingsError with every fault in it."""
    document = read_params(path)
    missing = sorted(key for key, value in flatten(document).items() if value == "???")
    if missing:
        raise SettingsError(f"{path.name}: {', '.join(missing)} must be set (`-S {missing[0]}=...`, or in conf/).")
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(_fault(fault, document) for fault in error.errors())
        raise SettingsError(f"{path.name}: {faults}. Set it in conf/ or with `-S`; conf/ comments each key.") from None


def read_params(path: Path) -> dict[str, Any]:
    """params.yaml as plain data, unchecked."""
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing. `lineage compose` makes it from conf/.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{path} holds no settings. `lineage compose` makes it from conf/.")
    return document


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level with dotted keys. Lists are values."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def select(tree: dict[str, Any], dotted: str) -> Any:
    """The value at a dotted key. Raises KeyError if there is none."""
    value: Any = tree
    for part in dotted.split("."):
        value = cast(dict[str, Any], value)[part]
    return value


def _fault(fault: Any, document: dict[str, Any]) -> str:
    place = _keys(fault["loc"], document)
    if fault["type"] == "missing" and place[-1:] != [fault["loc"][-1]]:
        place.append(fault["loc"][-1])  # a key that is called like the name
    where = ".".join(place)
    if fault["type"] == "union_tag_invalid":
        context = fault["ctx"]
        return f"{where}.name: there is no {context['tag']!r}, only {context['expected_tags']}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return f"{where} is not a setting"
    given = fault.get("input")
    # an address may hold a password
    may_show = isinstance(given, str | int | float) and fault["loc"][-1] not in ADDRESSES
    shown = f" (is {given!r})" if may_show else ""
    return f"{where}: {message[0].lower()}{message[1:]}{shown}" if where else message


def _keys(place: tuple[Any, ...], document: Any) -> list[str]:
    """The keys that lead to a fault. Where `name` decides among several sections, pydantic puts that name between."""
    keys: list[str] = []
    for part in place:
        is_name = isinstance(document, dict) and part not in document and document.get("name") == part
        if not is_name:
            keys.append(str(part))
            document = document.get(part) if isinstance(document, dict) else None
    return keys
