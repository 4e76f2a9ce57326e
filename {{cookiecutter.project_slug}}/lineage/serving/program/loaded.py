"""The registered model: its files are hashed before anything of them is run, and it answers its own example."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import yaml

from ...base.errors import ServingError
from ...dvc.hashes import Content, hash_tree

if TYPE_CHECKING:
    from ...contract import Answering

EXAMPLE = "serving_input_example.json"  # MLflow writes it: the example as a request
REQUIREMENTS = "requirements.txt"
JSON = "application/json"


class RefusedError(Exception):
    """What the caller must change."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status if 400 <= status < 500 else 400
        super().__init__(message)


def refuse(status: int, message: str) -> NoReturn:
    """As lineage/contract.py has it: raises RefusedError."""
    raise RefusedError(status, message)


def load(folder: Path, sha256: str) -> Answering:
    """The model in a folder of registered files, after it has answered its example.

    Raises ServingError if the files are not those of the hash, or the model cannot serve.
    """
    found = hash_tree(folder) if folder.is_dir() else None
    if found is None or found.sha256 != sha256:
        raise ServingError(_other_files(folder, found, sha256))
    sys.dont_write_bytecode = True  # what was registered has no compiled files, and gets none
    try:
        flavor = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
        code, data, module = folder / flavor["code"], folder / flavor["data"], str(flavor["loader_module"])
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ServingError(f"MLmodel in {folder} does not say how to load it: {type(error).__name__} {error}") from None
    sys.path.insert(0, str(code))
    try:
        model: Answering = import_module(module)._load_pyfunc(str(data))
    except Exception as error:
        raise ServingError(f"the model cannot be loaded: {type(error).__name__}: {error}") from error
    _require_answer(model, folder / EXAMPLE)
    return model


def _other_files(folder: Path, found: Content | None, sha256: str) -> str:
    if found is None:
        return f"there are no registered files in {folder}."
    return (
        f"the files in {folder} are not those that were registered (SHA-256 {found.sha256[:12]}..., registered were "
        f"{sha256[:12]}...), so none of them was run. `lineage deploy` sends them again."
    )


def _require_answer(model: Answering, example: Path) -> None:
    if not callable(getattr(model, "answer", None)):
        raise ServingError(
            "this version was registered without `answer`, which requests are given to: see Answering in "
            "lineage/contract.py. Add it to serving.py, train and register a new version."
        )
    if not example.is_file():
        raise ServingError(f"{EXAMPLE} is not among the registered files, so it cannot be tried whether it answers.")
    try:
        model.answer(example.read_bytes(), JSON, sys.maxsize, refuse, lambda: None)
    except Exception as error:
        raise ServingError(f"the model does not answer its own example: {type(error).__name__}: {error}") from error


def other_packages(folder: Path) -> dict[str, str]:
    """What the registered model pins and this Python has otherwise: `2.4.6, not 2.4.5` by name.

    Raises ServingError if it cannot be known.
    """
    found = {}
    try:
        lines = (folder / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ServingError(
            f"{REQUIREMENTS} of the registered files cannot be read ({type(error).__name__}), so it is not known which "
            "packages the model was registered with."
        ) from None
    for line in lines:
        name, _, wanted = line.partition("==")
        try:
            here = version(name.strip())
        except PackageNotFoundError:
            here = "missing"
        if wanted and here.partition("+")[0] != wanted.strip().partition("+")[0]:
            found[name.strip()] = f"{here}, not {wanted.strip()}"
    return found
