"""All of params.yaml: read, checked, and told what is wrong with it."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import ValidationError, field_validator, model_validator

from ..errors import SettingsError
from ..pipeline.yaml12 import parse_yaml
from .compute import Compute
from .data import Data
from .model import NO_WEIGHTS, PRETRAINED, Evaluate, MobileNetV3Small, Network, Train, Weights
from .privacy import Privacy
from .section import Section
from .tracking import Tracking

ADDRESSES = ("uri", "url", "path", "variable")  # settings whose values are not repeated in errors


class Settings(Section):
    """All of params.yaml."""

    conf_digest: str
    project_id: str
    data: Data
    privacy: Privacy
    weights: Weights
    model: Network
    train: Train
    evaluate: Evaluate
    tracking: Tracking
    compute: Compute
    callbacks: dict[str, dict[str, Any]]

    @field_validator("project_id")
    @classmethod
    def _is_its_own(cls, project_id: str) -> str:
        if project_id.startswith("not-yet-"):  # a bake over a project that is there empties its dvc.lock, too
            raise ValueError(
                "the template was baked without its hooks, which make it. Restore conf/, params.yaml and dvc.lock from "
                "Git if this was a project before; else bake it with hooks"
            )
        return project_id

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
    return check_settings(read_params(path), path.name)


def check_settings(document: dict[str, Any], name: str) -> Settings:
    """The settings in what a file called `name` holds. Raises SettingsError with every fault in it."""
    missing = sorted(key for key, value in flatten(document).items() if value == "???")
    if missing:
        raise SettingsError(
            f"{name}: {', '.join(missing)} must be set, in conf/ or as an override: `{missing[0]}=...`."
        )
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(_fault(fault, document) for fault in error.errors())
        raise SettingsError(
            f"{name}: {faults}. Correct it in conf/ or in the override; conf/ comments each key."
        ) from None


def read_params(path: Path) -> dict[str, Any]:
    """params.yaml as plain data, unchecked."""
    try:
        text = path.read_bytes()
        document = parse_yaml(text.decode())
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing. `lineage compose` makes it from conf/.") from None
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path} is not valid YAML: line {line} is not UTF-8. Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        if "\n<<<<<<< " in f"\n{text.decode()}":
            raise SettingsError(
                f"{path} holds the marks of a merge conflict. `lineage doctor` says how to end it."
            ) from None
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


def no_setting(key: str, document: dict[str, Any]) -> str:
    """What to say of a dotted `key` that is no setting: what `document` has in its place. Without a full stop."""
    parts, above = key.split("."), 0
    while above < len(parts) - 1 and isinstance(document.get(parts[above]), dict):
        document = document[parts[above]]
        above += 1
    there = sorted(set(document) - {parts[above]})
    near = get_close_matches(parts[above], there, n=1)
    if near:
        return f"{key} is not a setting (did you mean {'.'.join([*parts[:above], near[0]])}?)"
    return f"{key} is not a setting; {'.'.join(parts[:above]) or 'params.yaml'} has {', '.join(there)}"


def _fault(fault: Any, document: dict[str, Any]) -> str:
    place = _keys(fault["loc"], document)
    if fault["type"] == "missing" and place[-1:] != [fault["loc"][-1]]:
        place.append(fault["loc"][-1])  # a key that is called like the name
    where = ".".join(place)
    if fault["type"] == "union_tag_invalid":
        context = fault["ctx"]
        more = f"one of your own needs a class in settings/{where.partition('.')[0]}.py"
        return f"{where}.name: there is no {context['tag']!r}, only {context['expected_tags']} ({more})"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return no_setting(where, document)
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
