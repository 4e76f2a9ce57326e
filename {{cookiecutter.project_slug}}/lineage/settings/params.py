"""All of params.yaml: read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, TypeVar, cast

import yaml
from pydantic import ValidationError, field_validator

from ..base.errors import SettingsError
from ..base.yaml12 import parse_yaml
from ..contract import settings_class
from .compute import Compute
from .data import Data
from .faults import describe_fault, faults_of_backend
from .privacy import Privacy
from .promotion import Promotion
from .section import Section
from .serving import Serving
from .tracking import Tracking


class Settings(Section):
    """What the framework reads of params.yaml. The project's own class adds its groups, and knows all keys."""

    conf_digest: str
    project_id: str
    data: Data
    privacy: Privacy
    tracking: Tracking
    promotion: Promotion
    serving: Serving
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

    def declared(self, keys: tuple[str, ...]) -> Self:
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
        checked: Settings = settings_class().model_validate(document)
        faults = []
    except ValidationError as error:
        faults = [describe_fault(fault, document) for fault in error.errors()]
    else:
        for backend, section in checked.compute.backends.items():
            faults += faults_of_backend(backend, section, document)
    if faults:
        raise SettingsError(
            f"{name}: {'; '.join(faults)}. Correct it in conf/ or in the override; conf/ comments each key."
        )
    return checked


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
